import { isIP } from 'node:net'
import { fromJsonString } from '@bufbuild/protobuf'
import { ListenersSchema } from '#core/wire/gen/envoy/admin/v3/listeners_pb.ts'
import type { Captured } from './proof.ts'

const DIRECTIONS: Readonly<Record<string, Captured['direction']>> = { virtualOutbound: 'outbound', virtualInbound: 'inbound' }

/** What an Envoy takes that only rules of capture bring, by its own `GET /listeners?format=json` (envoy.admin.v3.Listeners). Throws for another text. */
export function capturedByEnvoy(json: string): Captured[] {
  const { listenerStatuses } = fromJsonString(ListenersSchema, json, { ignoreUnknownFields: true })
  return listenerStatuses.flatMap(({ name, localAddress, additionalLocalAddresses }) => {
    const direction = DIRECTIONS[name]
    if (direction === undefined) return []
    const addresses = [localAddress, ...additionalLocalAddresses].flatMap((one) => (one?.address.case === 'socketAddress' ? [one.address.value.address] : []))
    return [...new Set(addresses.map((address): 4 | 6 => (isIP(address) === 6 ? 6 : 4)))].map((family) => ({ direction, family }))
  })
}
