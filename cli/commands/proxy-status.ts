import { describeFault, type Fault } from '#core/fault/fault.ts'
import type { ProxyStatus, TypeStatus } from '#core/contract/proxy-status.ts'
import { callApi, meshPath } from '../client.ts'
import { type Context, contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { type Difference, matchesOf, type SectionMatch } from '../proxy-config/sent-held.ts'
import { type Section, sentAndHeld } from '../proxy-config/source.ts'
import { formatAge, formatTable } from '../table.ts'
import { outputOf, readArgs, serverFlags, UsageError } from '../usage.ts'

export const usage = `weft proxy-status [NAME.NAMESPACE [--admin ADDRESS:PORT]] [-v] [-o table|json]

Which proxy has acknowledged what. SYNCED: the newest sent is acknowledged. STALE: sent and not yet acknowledged. REJECTED: refused, with the reason.
NOT SENT: asked for, and there is nothing to send.
What is not to be called is named below, with the reason that its proxy gives.
-v shows a column a type. Of one proxy, type by type, whether it holds what it was sent, and what differs: where it runs on this host, or by its admin port.
Exit 1 when a proxy rejects something or holds something else, or an object could not be translated and is kept from them.`

const columns: readonly [title: string, suffix: string, isRare?: true][] = [
  ['CDS', '.Cluster'],
  ['LDS', '.Listener'],
  ['EDS', '.ClusterLoadAssignment'],
  ['RDS', '.RouteConfiguration'],
  ['SRDS', '.ScopedRouteConfiguration'],
  ['SDS', '.Secret'],
  ['ECDS', '.TypedExtensionConfig', true],
  ['RTDS', '.Runtime', true],
]

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(args, { ...serverFlags, verbose: { type: 'boolean', short: 'v' }, output: { type: 'string', short: 'o' }, admin: { type: 'string' } }, { min: 0, max: 1 })
  const output = outputOf(values.output, ['table', 'json'])
  const wanted = positionals[0]
  if (wanted === undefined && values.admin !== undefined) throw new UsageError('--admin is of one proxy: NAME.NAMESPACE')
  const context = contextOf(values)
  const { items, faults = [] } = await callApi<{ items: ProxyStatus[]; faults?: { object: string; faults: Fault[] }[] }>(context, 'GET', meshPath(context, '/proxies'))
  const proxies = wanted === undefined ? items : items.filter((proxy) => `${proxy.node.name}.${proxy.node.namespace}` === wanted)
  if (wanted !== undefined && proxies.length === 0) {
    process.stderr.write(`no proxy ${wanted} is connected\n`)
    return exitCodes.notFound
  }
  const matches = wanted === undefined ? undefined : await matchesFor(context, wanted, values.admin)
  if (output === 'json') process.stdout.write(`${JSON.stringify(matches === undefined ? proxies : proxies.map((one) => ({ ...one, matches })), undefined, 2)}\n`)
  else printTable(proxies, values.verbose ?? false)
  if (output === 'table') for (const one of matches ?? []) process.stdout.write(matchWords(one))
  if (wanted !== undefined && matches === undefined) process.stderr.write(`what ${wanted} holds is known to it alone: --admin ADDRESS:PORT names its admin port\n`)
  const rejections = proxies.flatMap((proxy) => proxy.types.flatMap((type) => (type.rejection ? [{ proxy, rejection: type.rejection }] : [])))
  for (const { proxy, rejection } of rejections) {
    process.stderr.write(`${proxy.node.name}.${proxy.node.namespace} rejects ${rejection.resources.join(', ')}: ${rejection.message}\n  from ${rejection.origins.join(', ') || 'no object'}, revision ${rejection.revision}\n`)
  }
  for (const { node, notReady } of proxies) if (notReady !== undefined) process.stderr.write(`${node.name}.${node.namespace} is not ready: ${notReady}\n`)
  for (const { object, faults: found } of faults) process.stderr.write(`${object} is kept from the proxies: ${found.map(describeFault).join('; ')}\n`)
  const isElse = matches?.some(({ differences }) => differences.length > 0) ?? false
  return isElse || rejections.length + faults.length > 0 ? exitCodes.failed : exitCodes.done
}

/** Undefined where nobody tells what the proxy holds. */
async function matchesFor(context: Context, proxy: string, admin: string | undefined): Promise<readonly SectionMatch[] | undefined> {
  const { sent, held } = await sentAndHeld(context, proxy, admin)
  return held && matchesOf(sent, held.resources)
}

const sectionTitles: Record<Section, string> = { cluster: 'Clusters', listener: 'Listeners', route: 'Routes', endpoint: 'Endpoints', secret: 'Secrets' }
const howWords: Record<Difference['how'], string> = { absent: 'sent, not held', warming: 'sent, not in use yet', unsent: 'held, not sent', differs: 'held as something else' }

/** `Clusters Match (12)`, or what does not, each with the objects behind it. */
function matchWords({ section, sent, differences }: SectionMatch): string {
  if (differences.length === 0) return sent === 0 ? '' : `${sectionTitles[section]} Match (${sent})\n`
  return `${sectionTitles[section]} Don't Match\n${differences.map(({ name, how, origins, diff }) => `  ${name}: ${howWords[how]}${origins.length === 0 ? '' : `, from ${origins.join(', ')}`}\n${diff}`).join('')}`
}

/** The worst of a proxy's types. */
function overall(proxy: ProxyStatus): TypeStatus['state'] {
  const states = new Set(proxy.types.map((type) => type.state))
  return states.has('REJECTED') ? 'REJECTED' : states.has('STALE') ? 'STALE' : states.has('SYNCED') ? 'SYNCED' : 'NOT_SENT'
}

const stateWords = (state: TypeStatus['state']): string => state.replace('_', ' ')

function printTable(proxies: readonly ProxyStatus[], verbose: boolean): void {
  const cell = (proxy: ProxyStatus, suffix: string): string => {
    const type = proxy.types.find((one) => one.type.endsWith(suffix))
    return type ? `${stateWords(type.state)} (${formatAge(Date.now() - type.sinceMs)})` : '-'
  }
  const shown = columns.filter(([, suffix, isRare]) => isRare !== true || proxies.some(({ types }) => types.some(({ type }) => type.endsWith(suffix))))
  const header = ['NAME', 'CLUSTER', 'VERSION', ...(verbose ? shown.map(([title]) => title) : ['SUBSCRIBED TYPES']), 'ENGINE', 'STATUS']
  const rows = [...proxies]
    .sort((a, b) => `${a.node.namespace}/${a.node.name}`.localeCompare(`${b.node.namespace}/${b.node.name}`))
    .map((proxy) => [
      `${proxy.node.name}.${proxy.node.namespace}`,
      proxy.node.cluster,
      proxy.node.version,
      ...(verbose ? shown.map(([, suffix]) => cell(proxy, suffix)) : [`${proxy.types.length} (${columns.filter(([, suffix]) => proxy.types.some((type) => type.type.endsWith(suffix))).map(([title]) => title).join(',')})`]),
      proxy.node.engine,
      stateWords(overall(proxy)),
    ])
  process.stdout.write(`${formatTable(header, rows)}\n`)
}
