import { NOWHERE } from '#api/model/gateway-api/backend.ts'

/** Where a recorded call leads. */
export interface Destination {
  /** `service`, `workload-port` (the application itself), `original-destination` (let through), `host-by-dns`, or `other` with a `name`. */
  readonly kind: 'service' | 'workload-port' | 'original-destination' | 'host-by-dns' | 'other'
  readonly direction?: 'outbound' | 'inbound'
  readonly host?: string
  readonly port?: number
  readonly subset?: string
  readonly weight?: number
  readonly headers?: unknown
  readonly name?: string
}

/** A cluster by what it stands for; `weight` where the route names one. */
export function destinationOf(cluster: string, weight: number | undefined): Destination {
  const share = weight === undefined ? {} : { weight }
  if (cluster === 'PassthroughCluster') return { kind: 'original-destination', direction: 'outbound', ...share }
  if (cluster.startsWith('InboundPassthrough')) return { kind: 'original-destination', direction: 'inbound', ...share }
  if (cluster.startsWith('DynamicDns')) return { kind: 'host-by-dns', direction: 'outbound', ...share }
  // Between networks a server name names the cluster.
  const [direction, port, subset = '', host = ''] = cluster.split(cluster.includes('|') ? '|' : '_.')
  if (direction === 'inbound') return { kind: 'workload-port', direction, port: Number(port), ...share }
  // What Istio calls a destination that it could not make out.
  if (direction === 'outbound' && host === NOWHERE.host) return { kind: 'other', name: 'UnknownService', ...share }
  if (direction === 'outbound') return { kind: 'service', direction, port: Number(port), host, ...(subset === '' ? {} : { subset }), ...share }
  return { kind: 'other', name: cluster }
}
