import { type DescMessage, fromBinary, type JsonValue, type Registry, toJson } from '@bufbuild/protobuf'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterLoadAssignmentSchema } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { ScopedRouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/scoped_route_pb.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, LISTENER, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION, type TypeUrl } from '#core/wire/type-url.ts'
import type { PlanCell } from '../ads/plan-cell.ts'
import type { RawResource } from '../ads/raw-resources.ts'
import type { Secrets } from '../identity/secrets.ts'

const dump = (name: string, content: object): object => ({ '@type': `type.googleapis.com/envoy.admin.v3.${name}`, ...content })

/**
 * What a proxy was sent and what it made of it, in the form of Envoy's `/config_dump` (envoy.admin.v3), and below `weft` the plans that are in force and what still waits.
 * Secrets by name and version alone.
 */
export async function configDump(cell: PlanCell, secrets: Secrets): Promise<object> {
  // The registry names every type there is: loaded when somebody looks, not by every proxy.
  const { wireRegistry } = await import('#core/wire/registry.ts')
  const registry = wireRegistry()
  const each = <Entry>(type: TypeUrl, schema: DescMessage, entry: (json: JsonValue, resource: RawResource) => Entry): Entry[] =>
    [...cell.raw.of(type)].map((resource) => entry(resourceJson(schema, resource, registry), resource))
  return {
    configs: [
      dump('ClustersConfigDump', {
        version_info: String(cell.revision),
        dynamic_active_clusters: each(CLUSTER, ClusterSchema, (cluster, { version }) => ({ version_info: version, cluster })),
      }),
      dump('ListenersConfigDump', {
        version_info: String(cell.revision),
        dynamic_listeners: each(LISTENER, ListenerSchema, (listener, { name, version }) => ({ name, active_state: { version_info: version, listener } })),
      }),
      dump('ScopedRoutesConfigDump', {
        dynamic_scoped_route_configs: each(SCOPED_ROUTE_CONFIGURATION, ScopedRouteConfigurationSchema, (scope, { name, version }) => ({
          name,
          version_info: version,
          scoped_route_configs: [scope],
        })),
      }),
      dump('RoutesConfigDump', {
        dynamic_route_configs: each(ROUTE_CONFIGURATION, RouteConfigurationSchema, (table, { version }) => ({ version_info: version, route_config: table })),
      }),
      dump('EndpointsConfigDump', {
        dynamic_endpoint_configs: each(CLUSTER_LOAD_ASSIGNMENT, ClusterLoadAssignmentSchema, (endpoints, { version }) => ({ version_info: version, endpoint_config: endpoints })),
      }),
      dump('SecretsConfigDump', {
        dynamic_active_secrets: secrets.list().map(({ name, kind, version }) => ({ name, version_info: version, kind, private_key: kind === 'certificate' ? '[redacted]' : undefined })),
      }),
    ],
    weft: {
      revision: cell.revision,
      warming: cell.warming,
      listeners: cell.listeners,
      scopes: cell.scopes,
      tables: cell.tables,
      clusters: cell.clusters,
      endpoints: cell.endpoints,
    },
  }
}

function resourceJson(schema: DescMessage, { bytes, name }: RawResource, registry: Registry): JsonValue {
  try {
    return toJson(schema, fromBinary(schema, bytes), { registry, useProtoFieldName: true })
  } catch (error) {
    // An extension of a type that this version does not know: shown as such, it must not hide the others.
    return { name, unreadable: error instanceof Error ? error.message : String(error) }
  }
}
