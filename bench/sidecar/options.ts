import { parseArgs } from 'node:util'

/** How long and how often, and which of the subjects. */
export interface BenchOptions {
  /** Rows to run; empty: all. */
  readonly only: readonly string[]
  /** Bytes of an answer. */
  readonly sizes: readonly number[]
  readonly rounds: number
  readonly seconds: number
  readonly warmupSeconds: number
  readonly connections: number
  readonly weftOnly: boolean
  /** Folder for Weft's .cpuprofile files; empty: none. */
  readonly profile: string
  /** File for the figures; empty: none. */
  readonly json: string
  /** Runs also what this machine has too few cores for. */
  readonly force: boolean
}

/** @throws Error for an option that is not known, or a row that is not in `rows` */
export function readOptions(args: readonly string[], rows: readonly string[], usage: string): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', default: '' },
      sizes: { type: 'string', default: '128,16384' },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '3' },
      warmup: { type: 'string', default: '3' },
      connections: { type: 'string', default: '64' },
      'weft-only': { type: 'boolean', default: false },
      profile: { type: 'string', default: '' },
      json: { type: 'string', default: '' },
      force: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const only = values.only.split(',').filter((row) => row !== '')
  const unknown = only.filter((row) => !rows.includes(row))
  if (values.help || unknown.length > 0) {
    console.error(unknown.length > 0 ? `no such row: ${unknown.join(', ')}\n${usage}` : usage)
    if (!values.help) process.exitCode = 2
    return undefined
  }
  return {
    only,
    sizes: values.sizes.split(',').map(Number),
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    warmupSeconds: Number(values.warmup),
    connections: Number(values.connections),
    weftOnly: values['weft-only'],
    profile: values.profile,
    json: values.json,
    force: values.force,
  }
}
