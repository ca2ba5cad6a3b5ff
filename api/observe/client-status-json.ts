import { create, type JsonValue } from '@bufbuild/protobuf'
import { ClientStatusRequestSchema, ClientStatusResponseSchema } from '#core/wire/gen/envoy/service/status/v3/csds_pb.ts'
import { messageToJson } from '#core/wire/registry.ts'
import { clientStatusOf } from '../serve/client-status.ts'
import type { Ledger } from '../serve/ledger.ts'

/** A ClientStatusResponse as protobuf JSON; content only when one node is asked for. */
export function clientStatusJson(ledger: Ledger, meshId: string, nodeId: string | undefined): JsonValue {
  const request = create(ClientStatusRequestSchema, {
    excludeResourceContents: nodeId === undefined,
    nodeMatchers: nodeId === undefined ? [] : [{ nodeId: { matchPattern: { case: 'exact', value: nodeId } } }],
  })
  return messageToJson(ClientStatusResponseSchema, clientStatusOf(ledger, meshId, request))
}
