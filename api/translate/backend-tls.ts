import { create } from '@bufbuild/protobuf'
import { NO_AUTHORITY } from '#api/model/gateway-api/backend-policy.ts'
import { DERIVED } from '#api/model/gateway-api/listener.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Resource } from '#api/serve/resource.ts'
import type { ClientTls, PortTrafficPolicy, TrafficPolicy } from '#core/resource/traffic-policy.ts'
import type { TransportSocket } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { SecretSchema } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import { resourceOf } from './resource.ts'
import { grantedAuthorities } from './secret.ts'
import { meshSecret, originatedSocket } from './tls.ts'

/** TLS towards a backend as a BackendTLSPolicy says it (gateway-api.sigs.k8s.io/api-types/backendtlspolicy). */
export interface BackendTls {
  readonly sni: string
  /** Names, one of which the backend's certificate bears. */
  readonly sans: readonly string[]
  /** Authorities as PEM, and the name of the secret that holds them; `system`: those of the proxy's host; `nobody`: none can be believed, and calls fail. */
  readonly trust: { readonly name: string; readonly pem: Uint8Array; readonly origins: readonly string[] } | 'system' | 'nobody'
  /** Secret of the certificate that is shown, where the Gateway names one. */
  readonly certificate: string | undefined
}

export const isDerivedRule = (rule: { readonly name: string }): boolean => rule.name.endsWith(`~${DERIVED}`)

/** What of a derived rule holds for a port: its own before that of all. */
const tlsAt = (policy: TrafficPolicy, port: number): ClientTls | undefined => (policy.portLevelSettings?.find((one) => one.port?.number === port) ?? policy).tls

/** A rule that someone wrote, under policies of the Gateway API: these say how TLS is spoken (and how often is retried), the rule all else. */
export function underPolicy(written: TrafficPolicy | undefined, derived: TrafficPolicy): TrafficPolicy {
  const ports = new Set([...(written?.portLevelSettings ?? []), ...(derived.portLevelSettings ?? [])].flatMap((one) => one.port?.number ?? []))
  const portLevelSettings = [...ports].map((number): PortTrafficPolicy => {
    const { portLevelSettings: _, tunnel: _tunnel, proxyProtocol: _header, retryBudget: _budget, ...whole } = written ?? {}
    const own = written?.portLevelSettings?.find((one) => one.port?.number === number) ?? { ...whole, port: { number } }
    return { ...own, tls: tlsAt(derived, number) ?? own.tls }
  })
  return {
    ...written,
    ...(derived.tls === undefined ? {} : { tls: derived.tls }),
    ...(derived.retryBudget === undefined ? {} : { retryBudget: derived.retryBudget }),
    ...(portLevelSettings.length === 0 ? {} : { portLevelSettings }),
  }
}

/** TLS of one port of a backend; undefined: no policy says it. */
export function backendTls(reader: MeshReader, host: string, policy: TrafficPolicy | undefined, port: number, certificate: string | undefined): BackendTls | undefined {
  const tls = policy === undefined ? undefined : tlsAt(policy, port)
  if (tls === undefined) return undefined
  const common = { sni: tls.sni ?? '', sans: tls.subjectAltNames ?? [], certificate }
  if (!tls.credentialName) return { ...common, trust: 'system' }
  const found = tls.credentialName === NO_AUTHORITY ? undefined : grantedAuthorities(reader, tls.credentialName)
  return { ...common, trust: found === undefined ? 'nobody' : { name: `${tls.credentialName}|${host}`, ...found } }
}

/** No certificate bears that name. */
const NO_NAME = 'invalid://'

export function backendSocket({ sni, sans, trust, certificate }: BackendTls, http2: boolean): TransportSocket {
  return originatedSocket({
    sni,
    sans: trust === 'nobody' ? [NO_NAME] : sans,
    http2,
    certificate: certificate === undefined ? undefined : meshSecret(certificate),
    trust: trust === 'system' || trust === 'nobody' ? undefined : meshSecret(trust.name),
    verify: true,
  })
}

/** The secret that a backend's authorities come by; the same name never means two things, for it bears the host. */
export function authorityResource({ trust }: BackendTls): Resource | undefined {
  if (trust === 'system' || trust === 'nobody') return undefined
  const message = create(SecretSchema, { name: trust.name, type: { case: 'validationContext', value: { trustedCa: { specifier: { case: 'inlineBytes', value: trust.pem } } } } })
  return resourceOf(SecretSchema, trust.name, message, trust.origins)
}
