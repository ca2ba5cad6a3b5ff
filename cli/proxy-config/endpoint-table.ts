import { at, list, text } from './json.ts'
import { byCells, originOf, type Row, type Table } from './row.ts'
import type { ShownResource } from './source.ts'

/** An endpoint as the proxy sees it now. */
export interface HostState {
  readonly endpoint: string
  readonly port: string
  readonly status: string
  readonly outlier: string
  readonly cluster: string
}

/** ENDPOINT STATUS OUTLIER CHECK CLUSTER: of a live proxy what it makes of them; else what was sent, of which ejections are unknown. */
export function endpointTable(resources: readonly ShownResource[], clusters: readonly ShownResource[], hosts: readonly HostState[] | undefined): Table {
  const behind = new Map([...resources, ...clusters].map((one) => [one.name, originOf(one.content, one.origins)]))
  const states = hosts ?? resources.flatMap(sentHosts)
  const rows = states.map((one): Row => ({ cells: [one.endpoint, one.status, one.outlier, one.cluster, behind.get(one.cluster) ?? ''], about: { name: one.cluster, cluster: one.cluster, port: one.port, status: one.status.toLowerCase(), address: one.endpoint.slice(0, -one.port.length - 1), fqdn: one.cluster.split('|')[3] ?? '', subset: one.cluster.split('|')[2] ?? '', direction: one.cluster.split('|')[0] ?? '' } }))
  return { header: ['ENDPOINT', 'STATUS', 'OUTLIER CHECK', 'CLUSTER', 'FROM'], rows: rows.sort(byCells) }
}

function sentHosts({ name, content }: ShownResource): HostState[] {
  return list(content, 'endpoints').flatMap((locality) =>
    list(locality, 'lbEndpoints').map((endpoint) => {
      const socket = at(endpoint, 'endpoint', 'address', 'socketAddress')
      return { endpoint: `${text(socket, 'address')}:${text(socket, 'portValue')}`, port: text(socket, 'portValue'), status: text(endpoint, 'healthStatus') || 'HEALTHY', outlier: '-', cluster: name }
    }),
  )
}
