import { create, fromBinary } from '@bufbuild/protobuf'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Resource } from '#api/serve/resource.ts'
import { writtenBehind } from '#api/model/written.ts'
import { packAny } from '#core/wire/any.ts'
import { type Cluster, Cluster_DiscoveryType, Cluster_LbPolicy, ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { LocalitySchema } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { ClusterLoadAssignmentSchema } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteAction_MaxStreamDurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { RouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/route_pb.ts'
import { RouterSchema } from '#core/wire/gen/envoy/extensions/filters/http/router/v3/router_pb.ts'
import type { OutlierDetection } from '#core/wire/gen/envoy/config/cluster/v3/outlier_detection_pb.ts'
import { HTTPFaultSchema } from '#core/wire/gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts'
import { HttpConnectionManagerSchema } from '#core/wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { CertificateProviderPluginInstanceSchema } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import { UpstreamTlsContextSchema } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts'
import { clusterResource, clusterScopes } from './cluster.ts'
import { endpointResource, endpointScopes } from './endpoint.ts'
import { anyOf, fromAds } from './message.ts'
import { hostNames, outboundRoutes } from './naming.ts'
import { resourceOf } from './resource.ts'
import { routeResource } from './route.ts'
import { type RouteClient, routeScopes, servedPorts } from './route-scope.ts'

/** The certificate provider of the bootstrap (gRFC A29): `weft bootstrap grpc` writes it under this name. */
const PROVIDER = 'default'
const FAULT_FILTER = 'envoy.filters.http.fault'

/**
 * What clients of gRPC without a proxy demand (gRFC A27, A28, A29, A31, A36, A39, A40, A44, A50, A57): the resources of sidecars, less what such a client refuses a whole resource for.
 * They ask for a Listener named as their target, `HOST:PORT`, and go on by name from there.
 */
export function grpcListeners(reader: MeshReader, client: RouteClient, host: string): Resource[] {
  const service = reader.service(host, client.namespace)
  const [virtualService] = reader.virtualServices(client.gateway, host, client.namespace)
  if (host.includes('*') || (service === undefined && virtualService === undefined)) return []
  const names = service === undefined ? [host] : hostNames(reader, service, client.namespace)
  return servedPorts(reader, client.namespace, service, virtualService).flatMap((port) =>
    names.map((name) => listenerResource(`${name}:${port}`, outboundRoutes(port, host), [...(service === undefined ? [] : [service.source]), ...(virtualService === undefined ? [] : writtenBehind(virtualService))])),
  )
}

function listenerResource(name: string, routeConfigName: string, origins: readonly string[]): Resource {
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix: name,
    routeSpecifier: { case: 'rds', value: { routeConfigName, configSource: fromAds() } },
    // A39: the router last, and nothing that a client may not know unless it is marked optional.
    httpFilters: [
      { name: FAULT_FILTER, isOptional: true, configType: { case: 'typedConfig', value: anyOf(HTTPFaultSchema, {}) } },
      { name: 'envoy.filters.http.router', configType: { case: 'typedConfig', value: anyOf(RouterSchema, {}) } },
    ],
  })
  return resourceOf(ListenerSchema, name, create(ListenerSchema, { name, apiListener: { apiListener: packAny(HttpConnectionManagerSchema, manager) } }), origins)
}

/** Routes as sidecars have them, without settings of filters that a client of gRPC lacks: it refuses a whole configuration for one. */
export function grpcRoutes(reader: MeshReader, client: RouteClient, host: string): Resource[] {
  if (host.includes('*')) return []
  return routeScopes(reader, client, host).map((scope) => {
    const resource = routeResource(scope)
    const message = fromBinary(RouteConfigurationSchema, resource.bytes)
    for (const virtualHost of message.virtualHosts) {
      virtualHost.typedPerFilterConfig = onlyFaults(virtualHost.typedPerFilterConfig)
      for (const route of virtualHost.routes) {
        route.typedPerFilterConfig = onlyFaults(route.typedPerFilterConfig)
        // A28 reads the longest stream from here, and nothing from `timeout`.
        if (route.action.case === 'route' && route.action.value.timeout && !route.action.value.maxStreamDuration) {
          const { timeout } = route.action.value
          if (timeout.seconds > 0n || timeout.nanos > 0) route.action.value.maxStreamDuration = create(RouteAction_MaxStreamDurationSchema, { maxStreamDuration: timeout })
        }
      }
    }
    return resourceOf(RouteConfigurationSchema, resource.name, message, resource.origins)
  })
}

function onlyFaults<T>(settings: Readonly<Record<string, T>>): Record<string, T> {
  const fault = settings[FAULT_FILTER]
  return fault === undefined ? {} : { [FAULT_FILTER]: fault }
}

/**
 * EDS clusters alone, balanced by what every client knows; mutual TLS for the whole cluster, where all of its endpoints take it, for there is no choice by endpoint (A29).
 * @param certificates the client has the certificate provider of its bootstrap
 */
export function grpcClusters(reader: MeshReader, client: { readonly namespace: string; readonly certificates: boolean }, host: string): Resource[] {
  const mutual = new Map(endpointScopes(reader, { namespace: client.namespace, locality: '' }, host).map((scope) => [scope.cluster, scope.endpoints.length > 0 && scope.endpoints.every((one) => one.mutualTls)]))
  return clusterScopes(reader, client.namespace, host, false).flatMap((scope) => {
    const resource = clusterResource(scope)
    const message = fromBinary(ClusterSchema, resource.bytes)
    if (message.clusterDiscoveryType.case !== 'type' || message.clusterDiscoveryType.value !== Cluster_DiscoveryType.EDS) return []
    const socket = client.certificates && mutual.get(resource.name) === true ? providerSocket(message) : undefined
    message.transportSocketMatches = []
    if (socket) message.transportSocket = socket
    else delete message.transportSocket
    message.typedExtensionProtocolOptions = {}
    if (message.lbPolicy !== Cluster_LbPolicy.RING_HASH) {
      message.lbPolicy = Cluster_LbPolicy.ROUND_ROBIN
      message.lbConfig = { case: undefined }
    }
    if (message.outlierDetection) ejectByShare(message.outlierDetection)
    return [resourceOf(ClusterSchema, resource.name, message, resource.origins)]
  })
}

/**
 * A50 knows no errors in a row: an endpoint is ejected when, within an interval, as many calls as that or more went to it and all of them failed. The panic threshold and the rest of the message are not read.
 */
function ejectByShare(outlier: OutlierDetection): void {
  const { consecutive5xx, enforcingConsecutive5xx, consecutiveGatewayFailure, enforcingConsecutiveGatewayFailure } = outlier
  const counts = [enforcingConsecutive5xx ? consecutive5xx : undefined, enforcingConsecutiveGatewayFailure ? consecutiveGatewayFailure : undefined].filter((one) => one !== undefined)
  if (counts.length === 0) return
  Object.assign(outlier, { enforcingFailurePercentage: 100, failurePercentageThreshold: 99, failurePercentageMinimumHosts: 1, failurePercentageRequestVolume: Math.min(...counts) })
}

/** Certificates by the bootstrap's provider, and the peer's names as the sidecars' TLS has them. */
function providerSocket(cluster: Cluster): Cluster['transportSocket'] {
  const mesh = cluster.transportSocketMatches.find((one) => one.name === 'tlsMode-istio')?.transportSocket
  if (mesh?.configType.case !== 'typedConfig') return undefined
  const before = fromBinary(UpstreamTlsContextSchema, mesh.configType.value.value)
  const validation = before.commonTlsContext?.validationContextType
  const sans = validation?.case === 'combinedValidationContext' ? (validation.value.defaultValidationContext?.matchTypedSubjectAltNames ?? []) : []
  const provider = create(CertificateProviderPluginInstanceSchema, { instanceName: PROVIDER })
  const after = anyOf(UpstreamTlsContextSchema, {
    commonTlsContext: {
      tlsCertificateProviderInstance: provider,
      validationContextType: {
        case: 'validationContext',
        // The older field: it is the one that these clients read (A29).
        value: { caCertificateProviderInstance: provider, matchSubjectAltNames: sans.flatMap((one) => one.matcher ?? []) },
      },
    },
  })
  return { ...mesh, configType: { case: 'typedConfig', value: after } }
}

/** Endpoints as sidecars have them: each locality has a name and a weight, without which a client ignores it (A27). */
export const grpcEndpoints = (reader: MeshReader, client: { readonly namespace: string; readonly locality: string }, host: string): Resource[] =>
  endpointScopes(reader, client, host).map((scope) => {
    const resource = endpointResource(scope)
    const message = fromBinary(ClusterLoadAssignmentSchema, resource.bytes)
    for (const at of message.endpoints) {
      at.loadBalancingWeight ||= at.lbEndpoints.length
      at.locality ??= create(LocalitySchema, {})
    }
    return resourceOf(ClusterLoadAssignmentSchema, resource.name, message, resource.origins)
  })
