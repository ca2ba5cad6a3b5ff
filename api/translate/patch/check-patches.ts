import type { DescMessage } from '@bufbuild/protobuf'
import type { Typed } from '#api/model/object-reader.ts'
import { warning } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import type { EnvoyFilterSpec } from '#core/resource/envoy-filter.ts'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { TypedExtensionConfigSchema } from '#core/wire/gen/envoy/config/core/v3/extension_pb.ts'
import { FilterChainSchema, FilterSchema, ListenerFilterSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteSchema, VirtualHostSchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { HttpFilterSchema } from '#core/wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { parseMessage } from './merge.ts'

const VALUES: Readonly<Record<string, DescMessage>> = {
  LISTENER: ListenerSchema,
  LISTENER_FILTER: ListenerFilterSchema,
  FILTER_CHAIN: FilterChainSchema,
  NETWORK_FILTER: FilterSchema,
  HTTP_FILTER: HttpFilterSchema,
  ROUTE_CONFIGURATION: RouteConfigurationSchema,
  VIRTUAL_HOST: VirtualHostSchema,
  HTTP_ROUTE: RouteSchema,
  CLUSTER: ClusterSchema,
  EXTENSION_CONFIG: TypedExtensionConfigSchema,
}

/** Patches that no proxy could apply: values that are no such message, and what is not sent by the control plane. */
export function* patchFindings({ id: resource, spec }: Pick<Typed<EnvoyFilterSpec>, 'id' | 'spec'>): Iterable<Fault> {
  for (const [index, { applyTo, patch }] of (spec.configPatches ?? []).entries()) {
    const path = `spec.configPatches[${index}]`
    const schema = VALUES[applyTo ?? '']
    if (applyTo === 'BOOTSTRAP') yield warning('object.field-inert', { resource, path, rule: 'what a proxy starts with is not sent to it' })
    if (schema === undefined || patch?.value === undefined) continue
    try {
      parseMessage(schema, patch.value)
    } catch (error) {
      yield warning('envoy-filter.not-applied', { resource, path: `${path}.patch.value`, rule: error instanceof Error ? error.message : String(error), hint: 'the patch is left out, and the others count' })
    }
  }
}
