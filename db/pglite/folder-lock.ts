import { randomUUID } from 'node:crypto'
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Who holds a folder. `started` tells a process from a later one that was given the same number: the machine's boot and the process's start within it, where the system says so. */
interface Holder {
  readonly pid: number
  readonly started: string
}

/**
 * Takes the folder for this process: PGlite does not, and of two processes that write to one folder only one's rows survive.
 * A lock whose process is gone is taken over.
 * @returns releases the lock
 * @throws Error that names the process which has the folder open
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, 'lock')
  const mine: Holder = { pid: process.pid, started: await startOf(process.pid) }
  const draft = `${path}.${randomUUID()}`
  await writeFile(draft, JSON.stringify(mine), { mode: 0o600, flag: 'wx' })
  try {
    for (;;) {
      // A link appears with its content, at once, and only where nothing was.
      if (await linked(draft, path)) return () => rm(path, { force: true })
      const text = await readIfThere(path)
      if (text === undefined) continue
      const holder = readHolder(text)
      if (holder && (await startOf(holder.pid)) === holder.started) throw new Error(`${folder} is open already, in process ${holder.pid}: a folder serves one process at a time`)
      await removeStale(path, text)
    }
  } finally {
    await rm(draft, { force: true })
  }
}

/** Two may find the same stale lock, and the slower one must not carry off the lock that the faster one has put in its place. */
async function removeStale(path: string, stale: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`
  try {
    await rename(path, aside)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw error
  }
  if ((await readFile(aside, 'utf8')) !== stale) await linked(aside, path)
  await rm(aside)
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

function readHolder(text: string): Holder | undefined {
  try {
    const { pid, started }: Partial<Holder> = JSON.parse(text)
    return typeof pid === 'number' && typeof started === 'string' ? { pid, started } : undefined
  } catch {
    return undefined // cut short by a full disk, say: nobody's
  }
}

/** Empty when there is no such process; `alive` where the system has no /proc. */
async function startOf(pid: number): Promise<string> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (codeOf(error) !== 'EPERM') return ''
  }
  const stat = await readIfThere(`/proc/${pid}/stat`)
  const boot = await readIfThere('/proc/sys/kernel/random/boot_id')
  // proc(5): the name in parentheses may hold anything; starttime is the 20th field behind it.
  const start = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  return start === undefined || boot === undefined ? 'alive' : `${boot.trim()}/${start}`
}

const codeOf = (error: unknown): string | undefined => (error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined)
