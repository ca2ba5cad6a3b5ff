import { hostCovers } from '#api/model/host.ts'
import { resolveGateway } from '#api/model/index-entries.ts'
import { selects } from '#api/model/labels.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { MeshService, ServicePort } from '#api/model/mesh-service.ts'
import { writtenAt } from '#api/model/written.ts'
import type { RouteDestination } from '#core/resource/virtual-service.ts'
import type { Origin } from './message.ts'
import { resolveDestination, serviceDestination } from './route-scope.ts'
import type { RouteClient, ScopedDestination } from './route-scope.ts'

interface ConnectionMatch {
  readonly port?: number | undefined
  readonly gateways?: readonly string[] | undefined
  readonly sourceLabels?: Readonly<Record<string, string>> | undefined
  readonly sourceNamespace?: string | undefined
}

/** Whether the conditions of a `tcp` or `tls` match that do not look at the connection hold: who calls, and which port. */
export function holds(match: ConnectionMatch, client: RouteClient, owner: string, port: number): boolean {
  if (match.port !== undefined && match.port !== port) return false
  if (match.gateways !== undefined && match.gateways.length > 0 && !match.gateways.some((one) => resolveGateway(one, owner) === 'mesh')) return false
  return (!match.sourceNamespace || match.sourceNamespace === client.namespace) && selects(match.sourceLabels, client.labels)
}

/** Where connections go whose contents play no part; without `routes` to its only destination. */
export interface ConnectionRoute {
  readonly routes: readonly RouteDestination[]
  readonly destinations: readonly ScopedDestination[]
  readonly origin: Origin
}

/** Connections to a service's port: by the first of its VirtualService's `tcp` routes that holds, else to the service. */
export function connectionRoute(reader: MeshReader, client: RouteClient, service: MeshService, port: ServicePort): ConnectionRoute {
  const [virtualService] = reader.virtualServices('mesh', service.host, client.namespace)
  for (const [index, { match = [], route: routes = [] }] of (virtualService?.spec.tcp ?? []).entries()) {
    if (virtualService === undefined) break
    if (match.length > 0 && !match.some((one) => holds(one, client, virtualService.namespace, port.port))) continue
    const destinations = routes.map((one) => resolveDestination(reader, client, one.destination, virtualService.namespace, port.port))
    return { routes, destinations, origin: writtenAt(virtualService, `tcp[${index}]`) }
  }
  return { routes: [], destinations: [serviceDestination(reader, service, client.namespace, '', port.port)], origin: { resource: service.source, field: '' } }
}

/** The same of a connection that is known to be for the service's own host, as one that asks for it by CONNECT: `tls` routes for that name come first where the port carries TLS. */
export function namedConnectionRoute(reader: MeshReader, client: RouteClient, service: MeshService, port: ServicePort): ConnectionRoute {
  const [virtualService] = port.protocol === 'tls' || port.protocol === 'https' ? reader.virtualServices('mesh', service.host, client.namespace) : []
  for (const [index, { match, route: routes = [] }] of (virtualService?.spec.tls ?? []).entries()) {
    if (virtualService === undefined) break
    if (!match.some((one) => holds(one, client, virtualService.namespace, port.port) && one.sniHosts.some((sni) => hostCovers(sni, service.host)))) continue
    const destinations = routes.map((one) => resolveDestination(reader, client, one.destination, virtualService.namespace, port.port))
    return { routes, destinations, origin: writtenAt(virtualService, `tls[${index}]`) }
  }
  return connectionRoute(reader, client, service, port)
}
