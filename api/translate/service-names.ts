import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { MeshService } from '#api/model/mesh-service.ts'
import { hostNames } from './naming.ts'

/** Every name by which callers reach a service: its own, those that no other service has, and those of its aliases for which no VirtualService speaks. */
export function namesOf(reader: MeshReader, service: MeshService, client: string): string[] {
  const own = hostNames(service, client).filter((name) => name === service.host || reader.service(name, client) === undefined)
  const aliases = reader.aliasesOf(service.host, client).filter((alias) => reader.virtualServicesNaming('mesh', alias.host, client).every((one) => (one.spec.http ?? []).length === 0))
  return [...own, ...aliases.flatMap((alias) => hostNames(alias, client))]
}
