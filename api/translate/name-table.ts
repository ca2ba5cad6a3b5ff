import { create } from '@bufbuild/protobuf'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import { clusterPlace } from '#api/model/host.ts'
import type { Resource } from '#api/serve/resource.ts'
import { isIp } from '#core/resource/address.ts'
import { NameTableSchema } from '#core/wire/gen/istio/networking/nds/v1/nds_pb.ts'
import { resourceOf } from './resource.ts'

/**
 * What a host's names stand for to the applications of a namespace: istio.networking.nds.v1.NameTable, one for each host, so that a change is sent alone; together they are the table that Istio sends whole.
 * A service without an address of its own stands for its workloads, and each of those has a name below it, as in Kubernetes. None: the name is for other resolvers to know.
 */
export function nameTable(reader: MeshReader, client: string, host: string): Resource[] {
  const declared = reader.declared(host, client)
  const service = declared?.alias === undefined ? reader.service(host, client) : reader.service(declared.alias, client)
  if (declared === undefined || service === undefined || service.alias !== undefined) return []
  const workloads = service.addresses.length === 0 && service.kind === 'Service' ? reader.workloadsOf(service).filter((one) => one.health === 'healthy' && isIp(one.address)) : []
  const ips = service.addresses.length === 0 ? workloads.map((one) => one.address) : service.addresses.filter(isIp)
  if (ips.length === 0) return []
  const place = clusterPlace(host)
  const about = { registry: declared.kind === 'Service' ? 'Kubernetes' : 'External', shortname: place?.name ?? '', namespace: place?.namespace ?? declared.namespace }
  const table = {
    [host]: { ...about, ips: [...new Set(ips)].sort() },
    ...(place === undefined ? {} : Object.fromEntries(workloads.map((one) => [`${one.name}.${host}`, { ...about, shortname: '', ips: [one.address] }]))),
  }
  return [resourceOf(NameTableSchema, host, create(NameTableSchema, { table }), [declared.source])]
}
