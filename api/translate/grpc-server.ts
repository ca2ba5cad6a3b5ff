import type { Labels } from '#api/model/labels.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Resource } from '#api/serve/resource.ts'
import { create } from '@bufbuild/protobuf'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouterSchema } from '#core/wire/gen/envoy/extensions/filters/http/router/v3/router_pb.ts'
import { HttpConnectionManagerSchema } from '#core/wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { CertificateProviderPluginInstanceSchema } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import { DownstreamTlsContextSchema } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts'
import type { WorkloadPort } from '#core/workload/workload.ts'
import { type InboundScope, inboundScopes } from './inbound.ts'
import { anyOf, socketAddress } from './message.ts'
import { type ScopedPolicy, rbacFilters } from './rbac.ts'
import { resourceOf } from './resource.ts'

/** The certificate provider of the bootstrap (gRFC A29). */
const PROVIDER = 'default'
/** A server that listens on every address asks by the address that it was given. */
const WILDCARDS = ['0.0.0.0', '::']

export interface GrpcServer {
  readonly namespace: string
  readonly labels: Labels
  readonly ports: readonly WorkloadPort[]
  /** It has the certificate provider of its bootstrap. */
  readonly certificates: boolean
}

/**
 * Listeners of gRPC servers without a proxy (gRFC A36): one a port, by the address on which the server listens, `grpc/server/ADDRESS:PORT`; who may call what by RBAC (A41).
 * Such a server cannot take TLS and plaintext on one port: with certificates it takes mutual TLS unless a policy says DISABLE. Under STRICT, without certificates, there is no listener, and the
 * server serves nobody.
 */
export const grpcServerListeners = (reader: MeshReader, server: GrpcServer): Resource[] =>
  inboundScopes(reader, { ...server, tracing: { endpoint: '', serviceName: '' }, engine: 'envoy', addresses: [], hosts: [], families: 'IPv4' }).flatMap((scope) => {
    const { mode } = scope.mutualTls
    if (mode === 'STRICT' && !server.certificates) return []
    const { address, port } = scope.port.listen
    return [...new Set([address, ...WILDCARDS])].map((at) => listenerResource(scope, at, port, server.certificates && mode !== 'DISABLE'))
  })

function listenerResource(scope: InboundScope, address: string, port: number, mutual: boolean): Resource {
  const name = `grpc/server/${address.includes(':') ? `[${address}]` : address}:${port}`
  const routes = { name: 'inbound', virtualHosts: [{ name: 'inbound', domains: ['*'], routes: [{ match: { pathSpecifier: { case: 'prefix' as const, value: '/' } }, action: { case: 'nonForwardingAction' as const, value: {} } }] }] }
  // Two filters of one name are refused.
  const rbac = rbacFilters(scope.access.policies.map(asJudged), scope.access.trustDomains).map((filter, at) => ({ ...filter, name: `${filter.name ?? ''}.${at}` }))
  const manager = anyOf(HttpConnectionManagerSchema, {
    statPrefix: `inbound_${port}`,
    routeSpecifier: { case: 'routeConfig', value: routes },
    httpFilters: [...rbac, { name: 'envoy.filters.http.router', configType: { case: 'typedConfig', value: anyOf(RouterSchema, {}) } }],
  })
  const provider = create(CertificateProviderPluginInstanceSchema, { instanceName: PROVIDER })
  const tls = anyOf(DownstreamTlsContextSchema, {
    requireClientCertificate: true,
    commonTlsContext: { tlsCertificateProviderInstance: provider, validationContextType: { case: 'validationContext', value: { caCertificateProviderInstance: provider } } },
  })
  const message = create(ListenerSchema, {
    name,
    address: socketAddress(address, port),
    filterChains: [
      {
        name: 'inbound',
        ...(mutual ? { transportSocket: { name: 'envoy.transport_sockets.tls', configType: { case: 'typedConfig', value: tls } } } : {}),
        filters: [{ name: 'envoy.filters.network.http_connection_manager', configType: { case: 'typedConfig', value: manager } }],
      },
    ],
  })
  return resourceOf(ListenerSchema, name, message, scope.origins)
}

/** Nobody can be asked here: what a CUSTOM policy is about is denied. */
const asJudged = (policy: ScopedPolicy): ScopedPolicy => (policy.action === 'CUSTOM' ? { ...policy, action: 'DENY', provider: '' } : policy)
