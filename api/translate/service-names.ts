import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { MeshService } from '#api/model/mesh-service.ts'
import { hostNames } from './naming.ts'

/** Every name by which callers reach a service: its own, those that no other service has, and those of its aliases for which no VirtualService speaks. */
export function namesOf(reader: MeshReader, service: MeshService, client: string): string[] {
  const own = hostNames(reader, service, client).filter((name) => name === service.host || reader.service(name, client) === undefined)
  const spokenFor = (host: string): boolean => reader.virtualServicesNaming('mesh', host, client).some((one) => (one.spec.http ?? []).length > 0)
  const aliases = reader.aliasesOf(service.host, client).flatMap((alias) => hostNames(reader, alias, client).filter((name) => name !== alias.host || !spokenFor(name)))
  return [...own, ...aliases]
}
