import type { ResourceObject } from '#core/resource/object.ts'
import { callApi, meshPath } from '../client.ts'
import { type Context, contextOf } from '../context.ts'
import { unifiedDiff } from '../line-diff.ts'
import { plainYaml } from '../plain-object.ts'
import { keyNamed } from '../object-key.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { formatAge, formatTable } from '../table.ts'
import { outputOf, readArgs, serverFlags, UsageError } from '../usage.ts'

export const usage = `weft history [KIND/NAME] [-n NAMESPACE] [--limit N] [--diff] [-o table|json]

The revisions of the mesh or of one object, the newest first: what changed, by whom, why. 50 unless told. PUSHED is the time from the commit to the last
answer of the proxies that the change concerned, and how many these were. With --diff, below each what it changed.`

/** Changes of one object in which the one before is looked for. */
const OWN_HISTORY_MAX = 500

interface Entry {
  readonly revision: number
  readonly group: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly operation: string
  readonly author: string
  readonly message: string
  readonly at: string
  readonly object: ResourceObject | null
  readonly push: { readonly proxies: number; readonly rejected: number; readonly maxMs: number } | null
}

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(args, { ...serverFlags, namespace: { type: 'string', short: 'n' }, limit: { type: 'string' }, diff: { type: 'boolean' }, output: { type: 'string', short: 'o' } }, { min: 0, max: 2 })
  const output = outputOf(values.output, ['table', 'json'])
  const context = contextOf(values)
  const key = positionals.length === 0 ? undefined : keyNamed(positionals, values.namespace)
  const { items } = await callApi<{ items: Entry[] }>(context, 'GET', meshPath(context, `/history?${new URLSearchParams({ limit: values.limit ?? '50', ...key }).toString()}`))
  if (values.diff && output === 'json') throw new UsageError('-o json holds the objects: --diff is for people')
  if (values.diff) process.stdout.write(await differences(context, items))
  else if (output === 'json') process.stdout.write(`${JSON.stringify(items, undefined, 2)}\n`)
  else {
    const rows = items.map((entry) => [String(entry.revision), entry.operation, `${entry.kind}/${entry.namespace}/${entry.name}`, entry.author, formatAge(Date.now() - Date.parse(entry.at)), pushed(entry), entry.message])
    process.stdout.write(`${formatTable(['REVISION', 'CHANGE', 'OBJECT', 'AUTHOR', 'AGE', 'PUSHED', 'MESSAGE'], rows)}\n`)
  }
  return exitCodes.done
}

/** Each change with what it changed: from what the object's own history has before it. */
async function differences(context: Context, items: readonly Entry[]): Promise<string> {
  const histories = new Map<string, readonly Entry[]>()
  let text = ''
  for (const entry of items) {
    const { group, kind, namespace, name, revision } = entry
    const key = JSON.stringify([group, kind, namespace, name])
    const history = histories.get(key) ?? (await callApi<{ items: Entry[] }>(context, 'GET', meshPath(context, `/history?${new URLSearchParams({ limit: String(OWN_HISTORY_MAX), group, kind, namespace, name }).toString()}`))).items
    histories.set(key, history)
    const before = history.find((one) => one.revision < revision)
    const title = `${kind}/${namespace === '' ? '' : `${namespace}/`}${name}`
    const unknown = before === undefined && entry.operation !== 'create'
    text += `revision ${revision}  ${entry.author}  ${entry.at}${entry.message === '' ? '' : `  ${entry.message}`}\n`
    text += unknown ? `${title}: what was before is no longer told\n` : unifiedDiff(yamlOf(before?.object), yamlOf(entry.object), { before: `${title} (revision ${before?.revision ?? 0})`, after: `${title} (revision ${revision})` })
    text += '\n'
  }
  return text
}

const yamlOf = (object: ResourceObject | null | undefined): string => (object ? plainYaml(object) : '')

/** `12ms (3)`: the time to the last answer, and the proxies that it concerned. */
function pushed({ push }: Entry): string {
  if (push === null) return '-'
  return `${Math.round(push.maxMs)}ms (${push.proxies}${push.rejected > 0 ? `, ${push.rejected} refused` : ''})`
}
