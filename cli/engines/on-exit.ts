/** What is still to be done when this process ends, by whatever way it does. Many hold on to something at a time, and Node takes more than ten listeners of an event for a leak: so there is one for all. */
const left = new Set<() => void>()

const doAll = (): void => {
  for (const one of left) one()
}

/** Has it done when the process ends, without waiting for anything. @returns what takes it back */
export function onExit(what: () => void): () => void {
  if (left.size === 0) process.once('exit', doAll)
  left.add(what)
  return () => {
    if (left.delete(what) && left.size === 0) process.removeListener('exit', doAll)
  }
}
