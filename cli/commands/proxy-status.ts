import { describeFault, type Fault } from '#core/fault/fault.ts'
import type { ProxyStatus, TypeStatus } from '#core/contract/proxy-status.ts'
import { callApi, meshPath } from '../client.ts'
import { contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { formatAge, formatTable } from '../table.ts'
import { outputOf, readArgs, serverFlags } from '../usage.ts'

export const usage = `weft proxy-status [NAME.NAMESPACE] [-v] [-o table|json]

Which proxy has acknowledged what. SYNCED: the newest sent is acknowledged. STALE: sent and not yet acknowledged. REJECTED: refused, with the reason.
-v shows a column a type. Exit 1 when a proxy rejects something, or an object could not be translated and is kept from them.`

const columns: readonly [title: string, suffix: string][] = [
  ['CDS', '.Cluster'],
  ['LDS', '.Listener'],
  ['EDS', '.ClusterLoadAssignment'],
  ['RDS', '.RouteConfiguration'],
  ['SRDS', '.ScopedRouteConfiguration'],
  ['SDS', '.Secret'],
]

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(args, { ...serverFlags, verbose: { type: 'boolean', short: 'v' }, output: { type: 'string', short: 'o' } }, { min: 0, max: 1 })
  const output = outputOf(values.output, ['table', 'json'])
  const context = contextOf(values)
  const { items, faults = [] } = await callApi<{ items: ProxyStatus[]; faults?: { object: string; faults: Fault[] }[] }>(context, 'GET', meshPath(context, '/proxies'))
  const wanted = positionals[0]
  const proxies = wanted === undefined ? items : items.filter((proxy) => `${proxy.node.name}.${proxy.node.namespace}` === wanted)
  if (wanted !== undefined && proxies.length === 0) {
    process.stderr.write(`no proxy ${wanted} is connected\n`)
    return exitCodes.notFound
  }
  if (output === 'json') process.stdout.write(`${JSON.stringify(proxies, undefined, 2)}\n`)
  else printTable(proxies, values.verbose ?? false)
  const rejections = proxies.flatMap((proxy) => proxy.types.flatMap((type) => (type.rejection ? [{ proxy, rejection: type.rejection }] : [])))
  for (const { proxy, rejection } of rejections) {
    process.stderr.write(`${proxy.node.name}.${proxy.node.namespace} rejects ${rejection.resources.join(', ')}: ${rejection.message}\n  from ${rejection.origins.join(', ') || 'no object'}, revision ${rejection.revision}\n`)
  }
  for (const { object, faults: found } of faults) process.stderr.write(`${object} is kept from the proxies: ${found.map(describeFault).join('; ')}\n`)
  return rejections.length + faults.length > 0 ? exitCodes.failed : exitCodes.done
}

/** The worst of a proxy's types. */
function overall(proxy: ProxyStatus): TypeStatus['state'] {
  const states = new Set(proxy.types.map((type) => type.state))
  return states.has('REJECTED') ? 'REJECTED' : states.has('STALE') ? 'STALE' : states.has('SYNCED') ? 'SYNCED' : 'NOT_SENT'
}

function printTable(proxies: readonly ProxyStatus[], verbose: boolean): void {
  const cell = (proxy: ProxyStatus, suffix: string): string => {
    const type = proxy.types.find((one) => one.type.endsWith(suffix))
    return type ? `${type.state} (${formatAge(Date.now() - type.sinceMs)})` : '-'
  }
  const header = ['NAME', 'CLUSTER', 'ENGINE', 'VERSION', 'STATUS', ...(verbose ? columns.map(([title]) => title) : ['SUBSCRIBED TYPES'])]
  const rows = [...proxies]
    .sort((a, b) => `${a.node.namespace}/${a.node.name}`.localeCompare(`${b.node.namespace}/${b.node.name}`))
    .map((proxy) => [
      `${proxy.node.name}.${proxy.node.namespace}`,
      proxy.node.cluster,
      proxy.node.engine,
      proxy.node.version,
      overall(proxy),
      ...(verbose ? columns.map(([, suffix]) => cell(proxy, suffix)) : [`${proxy.types.length} (${columns.filter(([, suffix]) => proxy.types.some((type) => type.type.endsWith(suffix))).map(([title]) => title).join(',')})`]),
    ])
  process.stdout.write(`${formatTable(header, rows)}\n`)
}
