import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'

/** The command was called wrongly: exit code 2. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'UsageError'
  }
}

/** Flags that every command which talks to a server takes. */
export const serverFlags = {
  server: { type: 'string' },
  'api-key': { type: 'string' },
  mesh: { type: 'string' },
} as const satisfies ParseArgsOptionsConfig

/** Flags of commands that are about an organization. */
export const organizationFlags = { ...serverFlags, org: { type: 'string' } } as const satisfies ParseArgsOptionsConfig

/** `parseArgs` of Node, with its complaints as usage errors. */
export function readArgs<T extends ParseArgsOptionsConfig>(args: string[], options: T, positionals: { min: number; max: number }) {
  const parsed = (() => {
    try {
      return parseArgs({ args, options, allowPositionals: true, strict: true })
    } catch (error) {
      throw new UsageError(error instanceof Error ? error.message : String(error))
    }
  })()
  if (parsed.positionals.length < positionals.min) throw new UsageError('an argument is missing; see --help')
  if (parsed.positionals.length > positionals.max) throw new UsageError(`unexpected argument ${JSON.stringify(parsed.positionals[positionals.max])}`)
  return parsed
}

/** The `-o` that was asked for, the first of `known` when none was. @throws UsageError for any other word */
export function outputOf<T extends string>(asked: string | undefined, known: readonly [T, ...T[]]): T {
  const found = asked === undefined ? known[0] : known.find((one) => one === asked)
  if (found === undefined) throw new UsageError(`-o: ${JSON.stringify(asked)} is none of ${known.join(', ')}`)
  return found
}

/** `30s`, `1m30s`, `500ms`, or plain seconds → milliseconds. */
export function durationMs(text: string, flag: string): number {
  const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, '': 1000 }
  if (!/^(\d+(\.\d+)?(ms|s|m|h|$))+$/.test(text)) throw new UsageError(`--${flag}: ${JSON.stringify(text)} is not a duration such as 30s`)
  let total = 0
  for (const [, amount = '0', , unit = ''] of text.matchAll(/(\d+(\.\d+)?)(ms|s|m|h|$)/g)) total += Number(amount) * (unitMs[unit] ?? 0)
  return total
}
