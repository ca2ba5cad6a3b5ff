import type { ProxyStatus, Rejection, TypeStatus } from '#core/contract/proxy-status.ts'

/** The types of the table, in the order in which configuration is pushed, by the names that people use for them. */
const shortNames: readonly (readonly [string, string])[] = [
  ['type.googleapis.com/envoy.config.cluster.v3.Cluster', 'CDS'],
  ['type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment', 'EDS'],
  ['type.googleapis.com/envoy.config.listener.v3.Listener', 'LDS'],
  ['type.googleapis.com/envoy.config.route.v3.RouteConfiguration', 'RDS'],
  ['type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret', 'SDS'],
  ['type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig', 'ECDS'],
  ['type.googleapis.com/envoy.service.runtime.v3.Runtime', 'RTDS'],
]

/** `CDS` for a cluster's type URL; the last word of a URL that has no short name. */
export const shortType = (typeUrl: string): string => shortNames.find(([url]) => url === typeUrl)?.[1] ?? typeUrl.split('.').at(-1) ?? typeUrl

/** Columns of the table: the usual four, and whatever else any proxy subscribes to. */
export function typeColumns(proxies: readonly ProxyStatus[]): string[] {
  const present = new Set(proxies.flatMap((proxy) => proxy.types.map((type) => shortType(type.type))))
  const known = shortNames.map(([, short]) => short)
  return [...known.slice(0, 4), ...known.slice(4).filter((short) => present.has(short)), ...[...present].filter((short) => !known.includes(short)).sort()]
}

export type Standing = 'rejected' | 'stale' | 'synced'

/** The worst that any type has to say. What was never sent is neither good nor bad. */
export function standing(proxy: ProxyStatus): Standing {
  if (proxy.types.some((type) => type.state === 'REJECTED')) return 'rejected'
  return proxy.types.some((type) => type.state === 'STALE') ? 'stale' : 'synced'
}

export interface Refusal {
  readonly proxy: ProxyStatus
  readonly type: TypeStatus
  readonly rejection: Rejection
}

/** All refusals that stand now, the newest first. */
export function refusals(proxies: readonly ProxyStatus[]): Refusal[] {
  return proxies
    .flatMap((proxy) => proxy.types.flatMap((type) => (type.state === 'REJECTED' && type.rejection ? [{ proxy, type, rejection: type.rejection }] : [])))
    .sort((one, other) => other.rejection.atMs - one.rejection.atMs)
}

/** Configuration objects behind the refusals, each once. */
export const refusedOrigins = (proxies: readonly ProxyStatus[]): string[] => [...new Set(refusals(proxies).flatMap((refusal) => refusal.rejection.origins))]

export interface Wanted {
  readonly text: string
  readonly standing: Standing | ''
}

/** Proxies that are wanted, those in trouble first. */
export function chooseProxies(proxies: readonly ProxyStatus[], wanted: Wanted): ProxyStatus[] {
  const words = wanted.text.toLowerCase().split(/\s+/).filter((word) => word !== '')
  const rank: Readonly<Record<Standing, number>> = { rejected: 0, stale: 1, synced: 2 }
  return proxies
    .filter((proxy) => wanted.standing === '' || standing(proxy) === wanted.standing)
    .filter((proxy) => {
      const text = `${proxy.node.name} ${proxy.node.namespace} ${proxy.node.engine} ${proxy.node.version} ${proxy.node.type}`.toLowerCase()
      return words.every((word) => text.includes(word))
    })
    .map((proxy) => ({ proxy, rank: rank[standing(proxy)] }))
    .sort((one, other) => one.rank - other.rank)
    .map(({ proxy }) => proxy)
}
