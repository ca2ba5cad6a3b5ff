import type { MeshModel } from '#api/model/mesh-model.ts'
import type { ResourceObject } from '#core/resource/object.ts'

/** A ServiceEntry's status with the addresses that the mesh has given its hosts, as Istio shows them: `status.addresses`, `{value, host}`. Other objects' as it is. */
export function withEntryAddresses(model: MeshModel | undefined, { kind, metadata }: ResourceObject, status: ResourceObject['status']): ResourceObject['status'] {
  if (model === undefined || kind !== 'ServiceEntry') return status
  const addresses = model.declared(`ServiceEntry/${metadata.namespace ?? ''}/${metadata.name}`).flatMap(({ host, allocated = [] }) => allocated.map((value) => ({ value, host })))
  return addresses.length === 0 ? status : { ...(status as object | undefined), addresses }
}
