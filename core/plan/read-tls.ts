import type { DataSource, TransportSocket } from '../wire/gen/envoy/config/core/v3/base_pb.ts'
import {
  type CertificateValidationContext, CertificateValidationContextSchema, SubjectAltNameMatcher_SanType as SanType, TlsCertificateSchema, TlsParameters_TlsProtocol as Protocol, TlsParametersSchema,
} from '../wire/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import {
  type CommonTlsContext, CommonTlsContext_CombinedCertificateValidationContextSchema, CommonTlsContextSchema, DownstreamTlsContextSchema, UpstreamTlsContextSchema,
} from '../wire/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts'
import { ProxyProtocolConfig_Version as ProxyVersion, ProxyProtocolConfigSchema } from '../wire/gen/envoy/config/core/v3/proxy_protocol_pb.ts'
import { ProxyProtocolUpstreamTransportSchema } from '../wire/gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts'
import { certifiesHost } from '../identity/certificate-name.ts'
import type { ClientTlsPlan } from './cluster.ts'
import type { ServerTlsPlan, StringMatchPlan } from './listener.ts'
import { at, type Reading, typeNameOf } from './read.ts'
import { readStringMatch } from './read-string.ts'

const RAW_BUFFER = 'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer'

/** What a listener's filter chain does to bytes; undefined is plaintext. */
export function readServerTls(reading: Reading, path: string, socket: TransportSocket | undefined): ServerTlsPlan | undefined {
  if (isPlain(socket)) return undefined
  const any = tlsConfig(reading, path, socket, DownstreamTlsContextSchema.typeName)
  const where = at(path, 'typed_config')
  const context = any && reading.unpack(where, any, DownstreamTlsContextSchema)
  if (context === undefined) return undefined
  reading.only(where, DownstreamTlsContextSchema, context, [
    'common_tls_context', 'require_client_certificate', 'disable_stateless_session_resumption', 'disable_stateful_session_resumption', 'session_timeout', 'ocsp_staple_policy',
    'full_scan_certs_on_sni_mismatch', 'prefer_client_ciphers',
  ])
  const common = context.commonTlsContext
  const inner = at(where, 'common_tls_context')
  const certificates = readCommon(reading, inner, common, ['tls_minimum_protocol_version', 'tls_maximum_protocol_version', 'cipher_suites', 'ecdh_curves'])
  if (certificates.length === 0) reading.invalid(at(inner, 'tls_certificate_sds_secret_configs'), 'is empty')
  const trust = readTrust(reading, inner, common)
  // As in Envoy, who names certificates or keys demands one of them.
  const requireClientCertificate = (context.requireClientCertificate ?? false) || trust.clients !== undefined
  if (requireClientCertificate && trust.name === undefined) reading.invalid(at(inner, 'validation_context_type'), 'is missing, and client certificates are required')
  const params = common?.tlsParams
  const suites = params?.cipherSuites ?? []
  const curves = params?.ecdhCurves ?? []
  return {
    certificates,
    trust: trust.name,
    requireClientCertificate,
    allowedSans: trust.sans,
    ...(trust.clients === undefined ? {} : { allowedClients: trust.clients }),
    alpn: common?.alpnProtocols ?? [],
    minVersion: readVersion(reading, at(inner, 'tls_params.tls_minimum_protocol_version'), params?.tlsMinimumProtocolVersion, 'TLSv1.2'),
    maxVersion: readVersion(reading, at(inner, 'tls_params.tls_maximum_protocol_version'), params?.tlsMaximumProtocolVersion, 'TLSv1.3'),
    ...(suites.length === 0 ? {} : { cipherSuites: suites }),
    ...(curves.length === 0 ? {} : { curves }),
  }
}

/** What an upstream transport socket says: TLS or none, and whether a PROXY protocol header goes in front of it. */
export function readTransport(reading: Reading, path: string, socket: TransportSocket | undefined): { tls: ClientTlsPlan | undefined; proxyHeader: 1 | 2 | undefined } {
  const config = socket?.configType
  if (config?.case !== 'typedConfig' || typeNameOf(config.value) !== ProxyProtocolUpstreamTransportSchema.typeName) return { tls: readClientTls(reading, path, socket), proxyHeader: undefined }
  const where = at(path, 'typed_config')
  const message = reading.unpack(where, config.value, ProxyProtocolUpstreamTransportSchema)
  if (message === undefined) return { tls: undefined, proxyHeader: undefined }
  reading.only(where, ProxyProtocolUpstreamTransportSchema, message, ['config', 'transport_socket'])
  if (message.config !== undefined) reading.only(at(where, 'config'), ProxyProtocolConfigSchema, message.config, ['version'])
  return { tls: readClientTls(reading, at(where, 'transport_socket'), message.transportSocket), proxyHeader: message.config?.version === ProxyVersion.V2 ? 2 : 1 }
}

/** How a cluster's connections are secured; undefined is plaintext. */
function readClientTls(reading: Reading, path: string, socket: TransportSocket | undefined): ClientTlsPlan | undefined {
  if (isPlain(socket)) return undefined
  const any = tlsConfig(reading, path, socket, UpstreamTlsContextSchema.typeName)
  const where = at(path, 'typed_config')
  const context = any && reading.unpack(where, any, UpstreamTlsContextSchema)
  if (context === undefined) return undefined
  reading.only(where, UpstreamTlsContextSchema, context, ['common_tls_context', 'sni', 'max_session_keys', 'enforce_rsa_key_usage'])
  const common = context.commonTlsContext
  const inner = at(where, 'common_tls_context')
  const certificates = readCommon(reading, inner, common, ['tls_minimum_protocol_version', 'tls_maximum_protocol_version'])
  // Node's own bounds are TLS 1.2 and 1.3; a narrower choice has no place in the plan.
  const params = common?.tlsParams
  if (params !== undefined && (params.tlsMinimumProtocolVersion === Protocol.TLSv1_3 || (params.tlsMaximumProtocolVersion !== Protocol.TLS_AUTO && params.tlsMaximumProtocolVersion !== Protocol.TLSv1_3))) {
    reading.unsupported(at(inner, 'tls_params'), 'only the range TLS 1.2 to 1.3 is supported')
  }
  if (certificates.length > 1) reading.unsupported(at(inner, 'tls_certificate_sds_secret_configs'), 'only one certificate is supported', certificates.length)
  const trust = readTrust(reading, inner, common)
  if (trust.clients !== undefined) reading.unsupported(at(inner, 'validation_context'), 'certificates and keys by their hash are supported of clients alone')
  if (trust.name === undefined && trust.sans.length > 0) reading.invalid(at(inner, 'validation_context'), 'names that the server must bear prove nothing without trusted_ca')
  return { certificate: certificates[0], trust: trust.name, ...(trust.name === undefined ? { unverified: true } : {}), allowedSans: trust.sans, sni: context.sni, alpn: common?.alpnProtocols ?? [] }
}

function isPlain(socket: TransportSocket | undefined): boolean {
  if (socket === undefined) return true
  const { configType } = socket
  return configType.case === 'typedConfig' ? typeNameOf(configType.value) === RAW_BUFFER : socket.name === 'envoy.transport_sockets.raw_buffer'
}

function tlsConfig(reading: Reading, path: string, socket: TransportSocket | undefined, typeName: string) {
  const config = socket?.configType
  if (config?.case !== 'typedConfig') {
    reading.unsupported(path, 'is not supported', socket?.name)
    return undefined
  }
  if (typeNameOf(config.value) === typeName) return config.value
  reading.unsupported(at(path, 'typed_config'), `only ${typeName} and raw buffers are supported`, typeNameOf(config.value))
  return undefined
}

/** The names of the certificates; where their secrets come from plays no part, all are on the one stream or the proxy's own. */
function readCommon(reading: Reading, path: string, common: CommonTlsContext | undefined, params: readonly string[]): string[] {
  if (common === undefined) return []
  reading.only(path, CommonTlsContextSchema, common, [
    'tls_params', 'tls_certificates', 'tls_certificate_sds_secret_configs', 'validation_context', 'validation_context_sds_secret_config', 'combined_validation_context', 'alpn_protocols',
  ])
  if (common.tlsParams !== undefined) reading.only(at(path, 'tls_params'), TlsParametersSchema, common.tlsParams, params)
  const inFiles = common.tlsCertificates.map((one, index) => {
    const where = at(path, 'tls_certificates', index)
    reading.only(where, TlsCertificateSchema, one, ['certificate_chain', 'private_key'])
    return `file-cert:${readFile(reading, at(where, 'certificate_chain'), one.certificateChain)}~${readFile(reading, at(where, 'private_key'), one.privateKey)}`
  })
  return [...common.tlsCertificateSdsSecretConfigs.map((one) => one.name), ...inFiles]
}

/** The path of a file on the proxy's own host; Istio's names for secrets in files are made of these. */
function readFile(reading: Reading, path: string, source: DataSource | undefined): string {
  if (source?.specifier.case === 'filename' && source.specifier.value !== '') return source.specifier.value
  reading.unsupported(path, 'only a file name is supported', source?.specifier.case)
  return ''
}

interface Trust {
  readonly name: string | undefined
  readonly sans: readonly StringMatchPlan[]
  readonly clients?: NonNullable<ServerTlsPlan['allowedClients']>
}

const NO_TRUST: Trust = { name: undefined, sans: [] }

function readTrust(reading: Reading, path: string, common: CommonTlsContext | undefined): Trust {
  const by = common?.validationContextType
  switch (by?.case) {
    case 'validationContextSdsSecretConfig':
      return { name: by.value.name, sans: [] }
    case 'combinedValidationContext': {
      const where = at(path, 'combined_validation_context')
      reading.only(where, CommonTlsContext_CombinedCertificateValidationContextSchema, by.value, ['default_validation_context', 'validation_context_sds_secret_config'])
      const name = by.value.validationContextSdsSecretConfig?.name
      if (name === undefined) reading.invalid(at(where, 'validation_context_sds_secret_config'), 'is missing')
      return { name, ...readDemands(reading, at(where, 'default_validation_context'), by.value.defaultValidationContext) }
    }
    case 'validationContext':
      // Roots come as secrets or lie in a file; a context that holds nothing checks nothing.
      return {
        name: by.value.trustedCa === undefined ? undefined : `file-root:${readFile(reading, at(path, 'validation_context.trusted_ca'), by.value.trustedCa)}${by.value.crl === undefined ? '' : `~${readFile(reading, at(path, 'validation_context.crl'), by.value.crl)}`}`,
        ...readDemands(reading, at(path, 'validation_context'), by.value, ['trusted_ca', 'crl']),
      }
    default:
      return NO_TRUST
  }
}

/** What a peer's certificate must be, beside that it leads to the roots. */
function readDemands(reading: Reading, path: string, context: CertificateValidationContext | undefined, others: readonly string[] = []): Pick<Trust, 'sans' | 'clients'> {
  if (context === undefined) return { sans: [] }
  reading.only(path, CertificateValidationContextSchema, context, ['match_typed_subject_alt_names', 'match_subject_alt_names', 'verify_certificate_hash', 'verify_certificate_spki', ...others])
  const hashes = context.verifyCertificateHash.map((one) => one.replaceAll(':', '').toLowerCase())
  const keys = context.verifyCertificateSpki
  return { sans: readSans(reading, path, context), ...(hashes.length + keys.length === 0 ? {} : { clients: { hashes, keys } }) }
}

function readSans(reading: Reading, path: string, context: CertificateValidationContext): StringMatchPlan[] {
  const typed = context.matchTypedSubjectAltNames.map((one, index) => {
    const where = at(path, 'match_typed_subject_alt_names', index)
    if (one.sanType !== SanType.URI && one.sanType !== SanType.DNS) reading.unsupported(at(where, 'san_type'), 'only URI and DNS are supported', one.sanType)
    const match = readStringMatch(reading, at(where, 'matcher'), one.matcher)
    const pattern = one.matcher?.matchPattern
    // A certificate's name may be for all hosts of a domain.
    return one.sanType === SanType.DNS && pattern?.case === 'exact' ? { words: match.words, matches: (name: string) => certifiesHost(name, pattern.value) } : match
  })
  return [...typed, ...context.matchSubjectAltNames.map((one, index) => readStringMatch(reading, at(path, 'match_subject_alt_names', index), one))]
}

function readVersion(reading: Reading, path: string, version: number | undefined, automatic: 'TLSv1.2' | 'TLSv1.3'): 'TLSv1.2' | 'TLSv1.3' {
  switch (version ?? Protocol.TLS_AUTO) {
    case Protocol.TLS_AUTO:
      return automatic
    case Protocol.TLSv1_2:
      return 'TLSv1.2'
    case Protocol.TLSv1_3:
      return 'TLSv1.3'
    default:
      reading.unsupported(path, 'TLS before 1.2 is not supported', version)
      return automatic
  }
}
