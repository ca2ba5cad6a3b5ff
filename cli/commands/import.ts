import type { ExitCode } from '../exit-codes.ts'
import { UsageError } from '../usage.ts'
import { run as apply } from './apply.ts'

export const usage = `weft import DIR [--dry-run] [--message TEXT]

Stores all that was exported into DIR, in one transaction. Objects that are not in DIR stay.`

export async function run(args: string[]): Promise<ExitCode> {
  const [dir, ...flags] = args
  if (dir === undefined || dir.startsWith('-')) throw new UsageError('a folder is missing; see --help')
  return apply(['-f', dir, '--message', 'import', ...flags])
}
