import { callApi, meshPath } from '../client.ts'
import { contextOf } from '../context.ts'
import { keyNamed } from '../object-key.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { formatAge, formatTable } from '../table.ts'
import { outputOf, readArgs, serverFlags } from '../usage.ts'

export const usage = `weft history [KIND/NAME] [-n NAMESPACE] [--limit N] [-o table|json]

The revisions of the mesh or of one object, the newest first: what changed, by whom, why. 50 unless told. PUSHED is the time from the commit to the last
answer of the proxies that the change concerned, and how many these were.`

interface Entry {
  readonly revision: number
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly operation: string
  readonly author: string
  readonly message: string
  readonly at: string
  readonly push: { readonly proxies: number; readonly rejected: number; readonly maxMs: number } | null
}

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(args, { ...serverFlags, namespace: { type: 'string', short: 'n' }, limit: { type: 'string' }, output: { type: 'string', short: 'o' } }, { min: 0, max: 2 })
  const output = outputOf(values.output, ['table', 'json'])
  const context = contextOf(values)
  const key = positionals.length === 0 ? undefined : keyNamed(positionals, values.namespace)
  const { items } = await callApi<{ items: Entry[] }>(context, 'GET', meshPath(context, `/history?${new URLSearchParams({ limit: values.limit ?? '50', ...key }).toString()}`))
  if (output === 'json') process.stdout.write(`${JSON.stringify(items, undefined, 2)}\n`)
  else {
    const rows = items.map((entry) => [String(entry.revision), entry.operation, `${entry.kind}/${entry.namespace}/${entry.name}`, entry.author, formatAge(Date.now() - Date.parse(entry.at)), pushed(entry), entry.message])
    process.stdout.write(`${formatTable(['REVISION', 'CHANGE', 'OBJECT', 'AUTHOR', 'AGE', 'PUSHED', 'MESSAGE'], rows)}\n`)
  }
  return exitCodes.done
}

/** `12ms (3)`: the time to the last answer, and the proxies that it concerned. */
function pushed({ push }: Entry): string {
  if (push === null) return '-'
  return `${Math.round(push.maxMs)}ms (${push.proxies}${push.rejected > 0 ? `, ${push.rejected} refused` : ''})`
}
