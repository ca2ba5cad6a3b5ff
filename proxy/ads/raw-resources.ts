import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { DeltaDiscoveryResponseSchema } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { isTypeUrl, SECRET, type TypeUrl } from '#core/wire/type-url.ts'

/** A resource as it came: its name, its version, its message's bytes. */
export interface RawResource {
  readonly name: string
  readonly version: string
  readonly bytes: Uint8Array
}

/** What was accepted, as it came: for people who look, and for the next start. Secrets are kept by nobody here. */
export class RawResources {
  readonly #byType = new Map<TypeUrl, Map<string, RawResource>>()

  put(type: TypeUrl, resource: RawResource): void {
    if (type === SECRET) return
    const known = this.#byType.get(type)
    if (known) known.set(resource.name, resource)
    else this.#byType.set(type, new Map([[resource.name, resource]]))
  }

  delete(type: TypeUrl, name: string): void {
    this.#byType.get(type)?.delete(name)
  }

  of(type: TypeUrl): Iterable<RawResource> {
    return this.#byType.get(type)?.values() ?? []
  }

  get types(): readonly TypeUrl[] {
    return [...this.#byType.keys()]
  }
}

/** What a file of the last good configuration says. */
export interface SavedResources {
  readonly nodeId: string
  readonly revision: number
  readonly byType: ReadonlyMap<TypeUrl, readonly RawResource[]>
}

/**
 * The file's form: one DeltaDiscoveryResponse that holds every type, with the node's id as its nonce, so that the file of another proxy is not taken for one's own.
 * The readers of any later version read it as they read a stream.
 */
export function encodeSaved(nodeId: string, revision: number, resources: RawResources): Uint8Array {
  return toBinary(
    DeltaDiscoveryResponseSchema,
    create(DeltaDiscoveryResponseSchema, {
      systemVersionInfo: String(revision),
      nonce: nodeId,
      resources: resources.types.flatMap((typeUrl) =>
        [...resources.of(typeUrl)].map(({ name, version, bytes }) => ({ name, version, resource: { typeUrl, value: bytes } })),
      ),
    }),
  )
}

/** @throws when the bytes are not such a file */
export function decodeSaved(bytes: Uint8Array): SavedResources {
  const { systemVersionInfo, nonce, resources } = fromBinary(DeltaDiscoveryResponseSchema, bytes)
  const byType = new Map<TypeUrl, RawResource[]>()
  for (const { name, version, resource } of resources) {
    if (!resource || !isTypeUrl(resource.typeUrl) || resource.typeUrl === SECRET) continue
    const list = byType.get(resource.typeUrl) ?? []
    list.push({ name, version, bytes: resource.value })
    byType.set(resource.typeUrl, list)
  }
  return { nodeId: nonce, revision: Number(systemVersionInfo), byType }
}
