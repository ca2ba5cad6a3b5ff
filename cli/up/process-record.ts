import { readFileSync, renameSync, writeFileSync } from 'node:fs'

/** A process that `weft up` started, told from a later one with the same id by its start time. */
export interface ProcessRecord {
  readonly name: string
  readonly pid: number
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  readonly startTicks: string
  /** Of what it was started with; another digest means that it has to be started anew. */
  readonly digest: string
}

/** Start time of a living process; undefined when there is none, or only a zombie. */
export function startTicksOf(pid: number): string | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    // No such process: the question is answered.
    return undefined
  }
  // The command's name, in parentheses, may hold blanks: fields are counted behind it (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
}

export const isAlive = (record: Pick<ProcessRecord, 'pid' | 'startTicks'>): boolean => startTicksOf(record.pid) === record.startTicks

export function readRecords(file: string): ProcessRecord[] {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ProcessRecord[]
  } catch {
    // The first start, or a file that a crash left half-written: nothing to adopt.
    return []
  }
}

export function writeRecords(file: string, records: readonly ProcessRecord[]): void {
  writeFileSync(`${file}.new`, JSON.stringify(records), { mode: 0o600 })
  renameSync(`${file}.new`, file)
}
