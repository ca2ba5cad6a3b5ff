import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { MeshService, ServicePort } from '#api/model/mesh-service.ts'
import { isIp } from '#core/resource/address.ts'
import { hostNames } from './naming.ts'

/** Every name by which callers reach a service: its own, those that no other service has, and those of its aliases for which no VirtualService speaks. */
export function namesOf(reader: MeshReader, service: MeshService, client: string): string[] {
  const own = hostNames(reader, service, client).filter((name) => name === service.host || reader.service(name, client) === undefined)
  const spokenFor = (host: string): boolean => reader.virtualServicesNaming('mesh', host, client).some((one) => (one.spec.http ?? []).length > 0)
  const aliases = reader.aliasesOf(service.host, client).flatMap((alias) => hostNames(reader, alias, client).filter((name) => name !== alias.host || !spokenFor(name)))
  return [...own, ...aliases]
}

/** The addresses at which a service's port is its own, as an authority has them: `10.0.0.1`, `[fd00::1]`. An address and port that several claim is the oldest one's. */
export const authoritiesAt = (reader: MeshReader, service: MeshService, { port }: ServicePort, client: string): string[] =>
  service.addresses.filter((address) => reader.hostAtAddress(address, port, client) === service.host).map((address) => (isIp(address) && address.includes(':') ? `[${address}]` : address))
