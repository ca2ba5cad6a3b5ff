import { create } from '@bufbuild/protobuf'
import type { DescMessage, MessageShape } from '@bufbuild/protobuf'
import type { Resource } from '#api/serve/resource.ts'
import { contentHash, encodeCanonical } from '#core/wire/encode.ts'
import { ClusterLoadAssignmentSchema } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { RuntimeSchema } from '#core/wire/gen/envoy/service/runtime/v3/rtds_pb.ts'
import { CLUSTER_LOAD_ASSIGNMENT, ROUTE_CONFIGURATION, RUNTIME, typeUrlOf } from '#core/wire/type-url.ts'

/** Encodes a message as a resource of its name. Origins are the configuration objects behind it, in words. */
export function resourceOf<Desc extends DescMessage>(schema: Desc, name: string, message: MessageShape<Desc>, origins: Iterable<string>): Resource {
  const bytes = encodeCanonical(schema, message)
  return { type: typeUrlOf(schema), name, version: contentHash(bytes), bytes, origins: [...new Set(origins)].sort() }
}

/** What stands for a name that is not there: xds-protocol leaves absence of routes and endpoints unsaid, and Envoy would wait for them for ever; and for a layer of its runtime before it asks for anything else. */
export function placeholderFor(type: string, name: string): Resource | undefined {
  if (type === ROUTE_CONFIGURATION) return resourceOf(RouteConfigurationSchema, name, create(RouteConfigurationSchema, { name }), [])
  if (type === CLUSTER_LOAD_ASSIGNMENT) return resourceOf(ClusterLoadAssignmentSchema, name, create(ClusterLoadAssignmentSchema, { clusterName: name }), [])
  if (type === RUNTIME) return resourceOf(RuntimeSchema, name, create(RuntimeSchema, { name, layer: {} }), [])
  return undefined
}
