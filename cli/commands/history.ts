import { callApi, meshPath } from '../client.ts'
import { contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { formatAge, formatTable } from '../table.ts'
import { readArgs, serverFlags } from '../usage.ts'

export const usage = `weft history [--limit N] [-o table|json]`

interface Entry {
  readonly revision: number
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly operation: string
  readonly author: string
  readonly message: string
  readonly at: string
}

export async function run(args: string[]): Promise<ExitCode> {
  const { values } = readArgs(args, { ...serverFlags, limit: { type: 'string' }, output: { type: 'string', short: 'o' } }, { min: 0, max: 0 })
  const context = contextOf(values)
  const { items } = await callApi<{ items: Entry[] }>(context, 'GET', meshPath(context, `/history?limit=${encodeURIComponent(values.limit ?? '50')}`))
  if (values.output === 'json') process.stdout.write(`${JSON.stringify(items, undefined, 2)}\n`)
  else {
    const rows = items.map((entry) => [String(entry.revision), entry.operation, `${entry.kind}/${entry.namespace}/${entry.name}`, entry.author, formatAge(Date.now() - Date.parse(entry.at)), entry.message])
    process.stdout.write(`${formatTable(['REVISION', 'CHANGE', 'OBJECT', 'AUTHOR', 'AGE', 'MESSAGE'], rows)}\n`)
  }
  return exitCodes.done
}
