import type { MeshReader } from '#api/model/mesh-reader.ts'
import { HttpConnectionManager_ForwardClientCertDetails as ClientCertificateHeader, HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes } from '#core/wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import type { HttpManager, ManagerScope } from './http-connection.ts'

/** What the mesh's settings say of how proxies read requests, and whom gateways believe. */
export interface HttpSettings {
  readonly normalization?: 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES'
  /** Proxies in front of gateways that are believed. */
  readonly trustedProxies?: number
  readonly clientCertificate?: keyof typeof CLIENT_CERTIFICATE
}

const CLIENT_CERTIFICATE = {
  SANITIZE: ClientCertificateHeader.SANITIZE,
  FORWARD_ONLY: ClientCertificateHeader.FORWARD_ONLY,
  APPEND_FORWARD: ClientCertificateHeader.APPEND_FORWARD,
  SANITIZE_SET: ClientCertificateHeader.SANITIZE_SET,
  ALWAYS_FORWARD_ONLY: ClientCertificateHeader.ALWAYS_FORWARD_ONLY,
}

/** Undefined: nothing is said. */
export function httpSettings(reader: MeshReader): HttpSettings | undefined {
  const { pathNormalization, defaultConfig } = reader.meshConfig()
  const normalization = pathNormalization?.normalization
  const topology = defaultConfig?.gatewayTopology
  const certificate = topology?.forwardClientCertDetails
  const settings: HttpSettings = {
    ...(normalization === undefined || normalization === 'DEFAULT' ? {} : { normalization }),
    ...(topology?.numTrustedProxies ? { trustedProxies: topology.numTrustedProxies } : {}),
    ...(certificate === undefined || certificate === 'UNDEFINED' ? {} : { clientCertificate: certificate }),
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
