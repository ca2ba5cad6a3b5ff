import { create } from '@bufbuild/protobuf'
import { ApiConfigSource_ApiType, ApiVersion } from '#core/wire/gen/envoy/config/core/v3/config_source_pb.ts'
import { TransportSocketSchema } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import type { TransportSocket } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { RawBufferSchema } from '#core/wire/gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.ts'
import { CertificateValidationContextSchema, SubjectAltNameMatcher_SanType, SubjectAltNameMatcherSchema, TlsParameters_TlsProtocol } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import type { SubjectAltNameMatcher } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import { SdsSecretConfigSchema } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import type { SdsSecretConfig } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import { CommonTlsContext_CombinedCertificateValidationContextSchema as CombinedSchema, CommonTlsContextSchema, DownstreamTlsContextSchema, UpstreamTlsContextSchema } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts'
import type { CommonTlsContext } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts'
import type { StringMatcher } from '#core/wire/gen/envoy/type/matcher/v3/string_pb.ts'
import { anyOf, duration, exactly, fromAds, startingWith } from './message.ts'

/** Secret names under which a proxy's own certificate and its mesh's roots are had, as in Istio. */
const OWN_CERTIFICATE = 'default'
const MESH_ROOTS = 'ROOTCA'

/** A workload's own secrets come from beside it, for its private key is born there: from cluster `sds-grpc` of the bootstrap, as in Istio. */
const workloadSecret = (name: string): SdsSecretConfig =>
  create(SdsSecretConfigSchema, {
    name,
    sdsConfig: {
      configSourceSpecifier: {
        case: 'apiConfigSource',
        value: {
          apiType: ApiConfigSource_ApiType.GRPC,
          transportApiVersion: ApiVersion.V3,
          setNodeOnFirstMessageOnly: true,
          grpcServices: [{ targetSpecifier: { case: 'envoyGrpc', value: { clusterName: 'sds-grpc' } } }],
        },
      },
      resourceApiVersion: ApiVersion.V3,
      initialFetchTimeout: duration(0),
    },
  })

// The same for every cluster: made once, and read only.
const ownCertificate = workloadSecret(OWN_CERTIFICATE)
const meshRoots = workloadSecret(MESH_ROOTS)

/** A credential that the mesh's configuration holds: a gateway's certificate. */
export const meshSecret = (name: string): SdsSecretConfig => create(SdsSecretConfigSchema, { name, sdsConfig: fromAds() })

const sanMatcher = (sanType: SubjectAltNameMatcher_SanType, matcher: StringMatcher): SubjectAltNameMatcher => create(SubjectAltNameMatcherSchema, { sanType, matcher })
const uriSan = (uri: string): SubjectAltNameMatcher => sanMatcher(SubjectAltNameMatcher_SanType.URI, exactly(uri))
const dnsSan = (name: string): SubjectAltNameMatcher => sanMatcher(SubjectAltNameMatcher_SanType.DNS, exactly(name))

/** What a handshake within the mesh is held to. */
export interface HandshakeBounds {
  readonly minVersion: TlsParameters_TlsProtocol
  /** For TLS 1.2; empty: the proxy's own choice. */
  readonly cipherSuites: readonly string[]
}

const USUAL_BOUNDS: HandshakeBounds = { minVersion: TlsParameters_TlsProtocol.TLSv1_2, cipherSuites: [] }

/** What both sides of mesh mTLS show and trust; the peer must bear one of `sans` (none: whatever the roots vouch for). */
function meshTls(sans: readonly SubjectAltNameMatcher[], alpnProtocols: readonly string[], bounds: HandshakeBounds): CommonTlsContext {
  return create(CommonTlsContextSchema, {
    alpnProtocols: [...alpnProtocols],
    tlsParams: { tlsMinimumProtocolVersion: bounds.minVersion, tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3, cipherSuites: [...bounds.cipherSuites] },
    tlsCertificateSdsSecretConfigs: [ownCertificate],
    validationContextType: {
      case: 'combinedValidationContext',
      value: { defaultValidationContext: { matchTypedSubjectAltNames: [...sans] }, validationContextSdsSecretConfig: meshRoots },
    },
  })
}

const tlsSocket = (typedConfig: ReturnType<typeof anyOf>): TransportSocket => create(TransportSocketSchema, { name: 'envoy.transport_sockets.tls', configType: { case: 'typedConfig', value: typedConfig } })

/** What proxies of the mesh offer in mTLS, so that the other end knows what is inside without looking; TLS that offers none of it is the application's own. */
export const MTLS_HTTP = ['istio-http/1.0', 'istio-http/1.1', 'istio-h2']
export const MTLS_TCP = ['istio-peer-exchange', 'istio']

/** Mesh mTLS towards a service whose workloads bear one of `accounts`. */
export function meshClientSocket(options: { readonly accounts: readonly string[]; readonly sni: string; readonly http2: boolean }): TransportSocket {
  const alpn = options.http2 ? ['istio', 'h2'] : ['istio']
  return tlsSocket(anyOf(UpstreamTlsContextSchema, { commonTlsContext: meshTls(options.accounts.map(uriSan), alpn, USUAL_BOUNDS), sni: options.sni }))
}

/** Mesh mTLS in front of a workload: only clients of the trust domain, or of one that counts as the same. */
export function meshServerSocket(trustDomains: readonly string[], bounds: HandshakeBounds): TransportSocket {
  const sans = trustDomains.map((one) => sanMatcher(SubjectAltNameMatcher_SanType.URI, startingWith(`spiffe://${one}/`)))
  return tlsSocket(anyOf(DownstreamTlsContextSchema, { commonTlsContext: meshTls(sans, ['h2', 'http/1.1'], bounds), requireClientCertificate: true }))
}

export interface OriginatedTls {
  readonly sni: string
  readonly sans: readonly string[]
  readonly http2: boolean
  readonly certificate: SdsSecretConfig | { readonly chain: string; readonly key: string } | undefined
  /** Secret or file with authorities; undefined: those of the system. */
  readonly trust: SdsSecretConfig | { readonly file: string } | undefined
  /** File of what the authorities took back, where no secret brings it with them. */
  readonly revoked?: string | undefined
  readonly verify: boolean
}

const SYSTEM_ROOTS = '/etc/ssl/certs/ca-certificates.crt'

/** TLS towards what is outside the mesh (DestinationRule tls SIMPLE and MUTUAL). */
export function originatedSocket(options: OriginatedTls): TransportSocket {
  const { certificate, trust, sans, revoked = '' } = options
  const defaults = { matchTypedSubjectAltNames: sans.map((one) => (/^[a-z][a-z0-9+.-]*:\/\/[^/]/i.test(one) ? uriSan(one) : dnsSan(one))), ...(trust !== undefined && 'file' in trust ? { trustedCa: fileSource(trust.file) } : {}) }
  const roots = { ...defaults, ...(trust === undefined ? { trustedCa: fileSource(SYSTEM_ROOTS) } : {}), ...(revoked === '' ? {} : { crl: fileSource(revoked) }) }
  const common = create(CommonTlsContextSchema, {
    alpnProtocols: options.http2 ? ['h2'] : ['http/1.1'],
    ...(certificate === undefined ? {} : 'chain' in certificate ? { tlsCertificates: [{ certificateChain: fileSource(certificate.chain), privateKey: fileSource(certificate.key) }] } : { tlsCertificateSdsSecretConfigs: [certificate] }),
  })
  if (options.verify) {
    common.validationContextType =
      trust !== undefined && !('file' in trust)
        ? { case: 'combinedValidationContext', value: create(CombinedSchema, { defaultValidationContext: defaults, validationContextSdsSecretConfig: trust }) }
        : { case: 'validationContext', value: create(CertificateValidationContextSchema, roots) }
  }
  return tlsSocket(anyOf(UpstreamTlsContextSchema, { commonTlsContext: common, sni: options.sni }))
}

const fileSource = (filename: string) => ({ specifier: { case: 'filename' as const, value: filename } })

/** Certificate and key in files of the proxy's host. */
export interface CertificateInFiles {
  readonly chain: string
  readonly key: string
}

export interface ServedTls {
  /** Certificates with their keys, by the names of their secrets or in files, one for each kind of key; `own`: the proxy's own. */
  readonly certificates: 'own' | readonly (string | CertificateInFiles)[]
  /** Secret name of the authorities that client certificates must lead to, or files of them and of what they revoked; `mesh`: the mesh's; undefined: no client certificate is asked for. */
  readonly clientTrust: string | { readonly file: string; readonly revoked: string } | undefined
  readonly requireClientCertificate: boolean
  readonly clientSans: readonly string[]
  /** SHA-256 of client keys (base64) and of client certificates (hex): a client must bear one of them, where there are any. */
  readonly clientKeys: readonly string[]
  readonly clientHashes: readonly string[]
  readonly minVersion: TlsParameters_TlsProtocol
  readonly maxVersion: TlsParameters_TlsProtocol
  readonly cipherSuites: readonly string[]
  /** Of the key exchange; empty: the proxy's own choice. */
  readonly curves: readonly string[]
}

/** TLS that a gateway's server ends. */
export function servedSocket(options: ServedTls): TransportSocket {
  const sans = options.clientSans.map((san) => (san.startsWith('spiffe://') ? uriSan(san) : dnsSan(san)))
  const demands = { sans, keys: options.clientKeys, hashes: options.clientHashes }
  const certificates = options.certificates === 'own' ? [] : options.certificates
  const common = create(CommonTlsContextSchema, {
    alpnProtocols: ['h2', 'http/1.1'],
    tlsParams: { tlsMinimumProtocolVersion: options.minVersion, tlsMaximumProtocolVersion: options.maxVersion, cipherSuites: [...options.cipherSuites], ecdhCurves: [...options.curves] },
    tlsCertificateSdsSecretConfigs: options.certificates === 'own' ? [ownCertificate] : certificates.flatMap((one) => (typeof one === 'string' ? [meshSecret(one)] : [])),
    tlsCertificates: certificates.flatMap((one) => (typeof one === 'string' ? [] : [{ certificateChain: fileSource(one.chain), privateKey: fileSource(one.key) }])),
    ...(options.clientTrust === undefined ? {} : { validationContextType: validationOf(options.clientTrust, demands) }),
  })
  return tlsSocket(anyOf(DownstreamTlsContextSchema, { commonTlsContext: common, requireClientCertificate: options.requireClientCertificate }))
}

function validationOf(trust: NonNullable<ServedTls['clientTrust']>, demands: { readonly sans: readonly SubjectAltNameMatcher[]; readonly keys: readonly string[]; readonly hashes: readonly string[] }): CommonTlsContext['validationContextType'] {
  const demanded = create(CertificateValidationContextSchema, {
    matchTypedSubjectAltNames: [...demands.sans],
    verifyCertificateSpki: [...demands.keys],
    verifyCertificateHash: [...demands.hashes],
    ...(typeof trust === 'string' ? {} : { trustedCa: fileSource(trust.file), ...(trust.revoked === '' ? {} : { crl: fileSource(trust.revoked) }) }),
  })
  if (typeof trust === 'string') {
    const secret = trust === 'mesh' ? meshRoots : meshSecret(trust)
    return { case: 'combinedValidationContext', value: create(CombinedSchema, { defaultValidationContext: demanded, validationContextSdsSecretConfig: secret }) }
  }
  return { case: 'validationContext', value: demanded }
}

export const plaintextSocket = (): TransportSocket =>
  create(TransportSocketSchema, { name: 'envoy.transport_sockets.raw_buffer', configType: { case: 'typedConfig', value: anyOf(RawBufferSchema, {}) } })
