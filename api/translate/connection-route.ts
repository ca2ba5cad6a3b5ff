import { compileCidr, maskAddress } from '#core/match/cidr.ts'
import type { Cidr } from '#core/match/cidr.ts'
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
  readonly destinationSubnets?: readonly string[] | undefined
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

/** One that holds for connections to some addresses alone, as ranges: `192.0.2.0/24`. */
export interface SubnetRoute extends ConnectionRoute {
  readonly subnets: readonly string[]
}

/** Connections to a service's port: by the first of its VirtualService's `tcp` routes that holds, else to the service. `narrow`: those before it that hold for some addresses alone, in their order. */
export function connectionRoutes(reader: MeshReader, client: RouteClient, service: MeshService, port: ServicePort): { readonly narrow: readonly SubnetRoute[]; readonly rest: ConnectionRoute } {
  const [virtualService] = reader.virtualServices('mesh', service.host, client.namespace)
  const narrow: SubnetRoute[] = []
  for (const [index, { match = [], route: routes = [] }] of (virtualService?.spec.tcp ?? []).entries()) {
    if (virtualService === undefined) break
    const held = match.filter((one) => holds(one, client, virtualService.namespace, port.port))
    if (match.length > 0 && held.length === 0) continue
    const destinations = routes.map((one) => resolveDestination(reader, client, one.destination, virtualService.namespace, port.port))
    const found = { routes, destinations, origin: writtenAt(virtualService, `tcp[${index}]`) }
    if (match.length === 0 || held.some((one) => subnetsOf(one).length === 0)) return { narrow, rest: found }
    narrow.push({ ...found, subnets: held.flatMap(subnetsOf) })
  }
  return { narrow, rest: { routes: [], destinations: [serviceDestination(reader, service, client.namespace, '', port.port)], origin: { resource: service.source, field: '' } } }
}

/** The ranges that a match names, without the bits that do not count. */
export const subnetsOf = ({ destinationSubnets = [] }: ConnectionMatch): string[] =>
  destinationSubnets.map((one) => {
    const [address = '', length] = one.split('/')
    return maskAddress(address, length === undefined ? (address.includes(':') ? 128 : 32) : Number(length))
  })

/** The same of a connection that is known to be for the service's own host, as one that asks for it by CONNECT: its addresses are the service's, and `tls` routes for that name come first where the port carries TLS. */
export function namedConnectionRoute(reader: MeshReader, client: RouteClient, service: MeshService, port: ServicePort): ConnectionRoute {
  const [virtualService] = port.protocol === 'tls' || port.protocol === 'https' ? reader.virtualServices('mesh', service.host, client.namespace) : []
  const reaches = (subnets: readonly string[]): boolean => subnets.some((one) => rangeOf(one).some((range) => service.addresses.some((address) => range.matches(address))))
  for (const [index, { match, route: routes = [] }] of (virtualService?.spec.tls ?? []).entries()) {
    if (virtualService === undefined) break
    const held = match.filter((one) => holds(one, client, virtualService.namespace, port.port) && one.sniHosts.some((sni) => hostCovers(sni, service.host)))
    if (!held.some((one) => subnetsOf(one).length === 0 || reaches(subnetsOf(one)))) continue
    const destinations = routes.map((one) => resolveDestination(reader, client, one.destination, virtualService.namespace, port.port))
    return { routes, destinations, origin: writtenAt(virtualService, `tls[${index}]`) }
  }
  const { narrow, rest } = connectionRoutes(reader, client, service, port)
  return narrow.find((one) => reaches(one.subnets)) ?? rest
}

function rangeOf(range: string): Cidr[] {
  const [address = '', length] = range.split('/')
  const compiled = compileCidr(address, Number(length))
  return compiled === undefined ? [] : [compiled]
}
