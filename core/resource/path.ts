/** Steps from an object's root to a field: names and list indexes. */
export type FieldPath = readonly PropertyKey[]

const PLAIN = /^[A-Za-z_][A-Za-z0-9_-]*$/

/** `spec.http[0].route[1].weight`, `data["tls.crt"]`: the form in which faults name a field. */
export function formatPath(path: FieldPath): string {
  let text = ''
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`
    else if (PLAIN.test(String(step))) text += text === '' ? String(step) : `.${String(step)}`
    else text += `[${JSON.stringify(String(step))}]`
  }
  return text
}

const STEP = /\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\.?([A-Za-z_][A-Za-z0-9_-]*)/gy

/** The way back from `formatPath`. Stops at the first piece that is not of that form. */
export function parsePath(text: string): (string | number)[] {
  const steps: (string | number)[] = []
  for (const [, index, quoted, name] of text.matchAll(STEP)) {
    if (index !== undefined) steps.push(Number(index))
    else if (quoted !== undefined) steps.push(String(JSON.parse(`"${quoted}"`)))
    else if (name !== undefined) steps.push(name)
  }
  return steps
}
