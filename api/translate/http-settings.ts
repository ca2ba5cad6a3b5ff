import type { MeshReader } from '#api/model/mesh-reader.ts'
import { HttpConnectionManager_ForwardClientCertDetails as ClientCertificateHeader, HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes } from '#core/wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import type { GatewayTopology } from '#core/workload/node.ts'
import type { Engine } from './engine.ts'
import type { HttpManager, ManagerScope } from './http-connection.ts'

/** What the mesh's settings say of how proxies read requests, and whom gateways believe. */
export interface HttpSettings {
  readonly normalization?: 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES'
  /** Proxies in front of gateways that are believed. */
  readonly trustedProxies?: number
  /** Connections to gateways begin with the PROXY protocol. */
  readonly proxyProtocol?: boolean
  readonly clientCertificate?: keyof typeof CLIENT_CERTIFICATE
  /** Some route keeps clients at an endpoint. */
  readonly sessions?: true
  /** Some port may carry anything, and its callee is to hear of HTTP from a stock Envoy. */
  readonly saysProtocol?: true
  /** Some port may carry gRPC, whose messages a stock Envoy counts by a filter of its own. */
  readonly countsMessages?: true
}

const CLIENT_CERTIFICATE = {
  SANITIZE: ClientCertificateHeader.SANITIZE,
  FORWARD_ONLY: ClientCertificateHeader.FORWARD_ONLY,
  APPEND_FORWARD: ClientCertificateHeader.APPEND_FORWARD,
  SANITIZE_SET: ClientCertificateHeader.SANITIZE_SET,
  ALWAYS_FORWARD_ONLY: ClientCertificateHeader.ALWAYS_FORWARD_ONLY,
}

const isMode = (word: string | undefined): word is keyof typeof CLIENT_CERTIFICATE => word !== undefined && word in CLIENT_CERTIFICATE

/** Undefined: nothing is said. `own`: what the gateway says of itself, field by field before what the mesh says of all. */
export function httpSettings(reader: MeshReader, own: GatewayTopology | undefined, engine: Engine): HttpSettings | undefined {
  const { pathNormalization, defaultConfig } = reader.meshConfig()
  const normalization = pathNormalization?.normalization
  const topology = { ...defaultConfig?.gatewayTopology, ...own }
  const certificate = topology.forwardClientCertDetails
  const settings: HttpSettings = {
    ...(normalization === undefined || normalization === 'DEFAULT' ? {} : { normalization }),
    ...(topology.numTrustedProxies ? { trustedProxies: topology.numTrustedProxies } : {}),
    ...(isMode(certificate) ? { clientCertificate: certificate } : {}),
    ...(topology.proxyProtocol === undefined ? {} : { proxyProtocol: true }),
    ...(reader.keepsSessions() ? { sessions: true } : {}),
    ...(engine === 'envoy' && reader.hasSniffedPorts() ? { saysProtocol: true } : {}),
    ...(engine === 'envoy' && reader.mayCarryGrpc() ? { countsMessages: true } : {}),
  }
  return Object.keys(settings).length === 0 ? undefined : settings
}

/**
 * A connection manager by the mesh's settings.
 * istio.io/latest/docs/ops/configuration/traffic-management/network-topologies, …/docs/reference/config/istio.mesh.v1alpha1/#MeshConfig-ProxyPathNormalization
 */
export function applySettings(manager: HttpManager, settings: HttpSettings | undefined, role: ManagerScope['role']): HttpManager {
  if (settings === undefined) return manager
  const { normalization, trustedProxies, clientCertificate } = settings
  return {
    ...manager,
    ...(normalization === undefined
      ? {}
      : {
          normalizePath: normalization !== 'NONE',
          mergeSlashes: normalization === 'MERGE_SLASHES' || normalization === 'DECODE_AND_MERGE_SLASHES',
          pathWithEscapedSlashesAction: normalization === 'DECODE_AND_MERGE_SLASHES' ? EscapedSlashes.UNESCAPE_AND_FORWARD : EscapedSlashes.KEEP_UNCHANGED,
        }),
    ...(role !== 'gateway' || trustedProxies === undefined ? {} : { xffNumTrustedHops: trustedProxies }),
    ...(role !== 'gateway' || clientCertificate === undefined ? {} : { forwardClientCertDetails: CLIENT_CERTIFICATE[clientCertificate] }),
  }
}
