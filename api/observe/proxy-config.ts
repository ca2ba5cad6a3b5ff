import { fromBinary } from '@bufbuild/protobuf'
import type { ProxyConfig } from '../rest/doors.ts'
import type { Ledger } from '../serve/ledger.ts'
import type { XdsStream } from '../serve/stream.ts'

/** The message type of a type URL. */
const messageOf = (typeUrl: string): string => typeUrl.slice(typeUrl.lastIndexOf('/') + 1)

/** The stream of a proxy by `NAME.NAMESPACE`: the newest, should an old one linger. */
function streamOf(ledger: Ledger, meshId: string, proxy: string): XdsStream | undefined {
  let newest: XdsStream | undefined
  for (const stream of ledger.streamsOf(meshId)) {
    if (`${stream.node.name}.${stream.node.namespace}` === proxy && (!newest || stream.connectedAtMs >= newest.connectedAtMs)) newest = stream
  }
  return newest
}

/** Everything that a connected proxy was sent, as protobuf JSON; of secrets name and version alone. Undefined when it is not connected. */
export async function proxyConfigOf(ledger: Ledger, meshId: string, proxy: string): Promise<ProxyConfig | undefined> {
  const stream = streamOf(ledger, meshId, proxy)
  if (!stream) return undefined
  // All of Envoy's API is loaded for this question alone.
  const { messageToJson, wireRegistry } = await import('#core/wire/registry.ts')
  const resources = [...stream.sent()].map(({ type, name, version, resource }) => {
    const schema = resource && wireRegistry().getMessage(messageOf(type))
    return { type, name, version, origins: resource?.origins ?? [], content: schema && resource ? messageToJson(schema, fromBinary(schema, resource.bytes)) : undefined }
  })
  return { proxy, revision: stream.viewRevision, resources }
}
