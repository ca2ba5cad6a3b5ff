import type { MessageInitShape } from '@bufbuild/protobuf'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Resource } from '#api/serve/resource.ts'
import type { JwtRule } from '#core/resource/request-authentication.ts'
import { JwtAuthenticationSchema } from '#core/wire/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts'
import type { JwtProviderSchema, JwtRequirementSchema } from '#core/wire/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts'
import { httpFilter } from './http-connection.ts'
import type { HttpFilterInit } from './http-connection.ts'
import { anyOf, duration, durationOf } from './message.ts'
import { outboundCluster } from './naming.ts'
import { outsideCluster, outsideClusterName, outsideServer } from './outside-cluster.ts'
import type { OutsideServer } from './outside-cluster.ts'

/** Where an issuer's keys are fetched. */
export interface KeySource {
  readonly uri: string
  readonly cluster: string
  /** Undefined: the cluster is a service's, which the mesh knows. */
  readonly outside: OutsideServer | undefined
}

/** One issuer whose tokens a workload accepts. */
export interface Issuer {
  readonly rule: JwtRule
  /** Undefined: the keys are in the rule, or there are none, and then no token of the issuer is believed. */
  readonly keys: KeySource | undefined
}

/** The issuers of rules, in order of name: which comes first changes nothing. */
export const issuersOf = (reader: MeshReader, namespace: string, rules: readonly JwtRule[]): Issuer[] =>
  rules.map((rule) => ({ rule, keys: keySource(reader, namespace, rule) })).sort((a, b) => ((a.rule.issuer ?? '') < (b.rule.issuer ?? '') ? -1 : 1))

/** Keys of an issuer within the mesh come the way that calls to it go; those outside by a cluster of their own, over TLS with the system's authorities. */
function keySource(reader: MeshReader, namespace: string, rule: JwtRule): KeySource | undefined {
  const uri = rule.jwksUri ?? rule.jwks_uri
  if (rule.jwks !== undefined || uri === undefined || !URL.canParse(uri)) return undefined
  const server = outsideServer(uri)
  const service = reader.service(server.host, namespace)
  if (service?.ports.some((one) => one.port === server.port) === true) return { uri, cluster: outboundCluster(server.port, '', service.host), outside: undefined }
  return { uri, cluster: outsideClusterName('jwks', server), outside: server }
}

/**
 * The filter that verifies tokens: one that is there must be valid (401), one that is not may be missing unless the rule requires it. Several issuers that look in one place do not refuse each other's.
 * What a token claims is noted under `payload`, where RBAC and routes look.
 * istio.io/latest/docs/reference/config/security/request_authentication
 */
export function jwtFilter(issuers: readonly Issuer[]): HttpFilterInit[] {
  if (issuers.length === 0) return []
  const names = issuers.map((_one, index) => `origins-${index}`)
  const providers = Object.fromEntries(issuers.map((one, index) => [names[index] ?? '', provider(one)]))
  const requires = requirement(issuers.map((one, index) => ({ name: names[index] ?? '', required: one.rule.presence === 'REQUIRED' })))
  return [
    httpFilter(
      'envoy.filters.http.jwt_authn',
      anyOf(JwtAuthenticationSchema, { providers, rules: [{ match: { pathSpecifier: { case: 'prefix', value: '/' } }, requirementType: { case: 'requires', value: requires } }], bypassCorsPreflight: true }),
    ),
  ]
}

type Requirement = MessageInitShape<typeof JwtRequirementSchema>

const byProvider = (name: string): Requirement => ({ requiresType: { case: 'providerName', value: name } })
const anyRequirement = (requirements: Requirement[]): Requirement => ({ requiresType: { case: 'requiresAny', value: { requirements } } })
/** Envoy takes a list of two at least. */
const allRequirements = (requirements: Requirement[]): Requirement => (requirements.length === 1 && requirements[0] !== undefined ? requirements[0] : { requiresType: { case: 'requiresAll', value: { requirements } } })
const missing: Requirement = { requiresType: { case: 'allowMissing', value: {} } }

/**
 * One issuer: its token, or none. Several: a token of any of them, for they may look in one place, where each finds the others' wrong; or of each its own or none.
 * Those that are required must all be there; what the others then find counts only where it is valid.
 */
function requirement(issuers: readonly { readonly name: string; readonly required: boolean }[]): Requirement {
  const required = issuers.filter((one) => one.required).map((one) => byProvider(one.name))
  const optional = issuers.filter((one) => !one.required).map((one) => byProvider(one.name))
  if (required.length > 0) return allRequirements(optional.length === 0 ? required : [...required, anyRequirement([...optional, { requiresType: { case: 'allowMissingOrFailed', value: {} } }])])
  const orMissing = optional.map((one) => anyRequirement([one, missing]))
  const [only] = orMissing
  return only !== undefined && orMissing.length === 1 ? only : anyRequirement([...optional, allRequirements(orMissing)])
}

/** Claims whose text is a list by RFC 8693 §4.2, and by Istio's reckoning. */
const SPACED_CLAIMS = ['scope', 'permission']

/**
 * An issuer whose keys nobody knows is believed nothing, and Envoy refuses a set without keys. So it gets one that nobody can sign with: a point on P-256
 * whose x is the SHA-256 of "nobody holds this key 0".
 */
const NOBODYS_KEYS = '{"keys":[{"kty":"EC","crv":"P-256","x":"O_hQaSqqYydFcst4Vozo8EIpgyZ5K6Vmn01S8EUez1c","y":"MQ7G8gubEFo4mHQ9kQizjvVcw_A3GDkPvTGptyyBc4o","kid":"nobody","alg":"ES256"}]}'

const MEMBERS: Readonly<Record<string, readonly string[]>> = { RSA: ['n', 'e'], EC: ['x', 'y'], OKP: ['x'], oct: ['k'] }

/** Whether a set has a key that Envoy can read: those that it cannot are passed over, but one must remain. */
export function hasUsableKey(jwks: string): boolean {
  try {
    const parsed: unknown = JSON.parse(jwks)
    const keys: unknown = typeof parsed === 'object' && parsed !== null && 'keys' in parsed ? parsed.keys : undefined
    return Array.isArray(keys) && keys.some(isUsable)
  } catch {
    // No JSON: there are no keys.
    return false
  }
}

function isUsable(key: unknown): boolean {
  if (typeof key !== 'object' || key === null) return false
  const members = new Map<string, unknown>(Object.entries(key))
  const needed = MEMBERS[String(members.get('kty'))]
  return needed?.every((name) => /^[A-Za-z0-9_-]{2,}$/.test(String(members.get(name) ?? ''))) === true
}

function provider({ rule, keys }: Issuer): MessageInitShape<typeof JwtProviderSchema> {
  return {
    issuer: rule.issuer ?? '',
    audiences: rule.audiences ?? [],
    forward: rule.forwardOriginalToken ?? false,
    fromHeaders: (rule.fromHeaders ?? []).map((one) => ({ name: one.name, valuePrefix: one.prefix ?? '' })),
    fromParams: rule.fromParams ?? [],
    fromCookies: rule.fromCookies ?? [],
    forwardPayloadHeader: rule.outputPayloadToHeader ?? '',
    claimToHeaders: (rule.outputClaimToHeaders ?? []).map((one) => ({ headerName: one.header, claimName: one.claim })),
    payloadInMetadata: 'payload',
    normalizePayloadInMetadata: { spaceDelimitedClaims: [...new Set([...SPACED_CLAIMS, ...(rule.spaceDelimitedClaims ?? [])])] },
    // Routes may depend on claims, which are known only now.
    clearRouteCache: true,
    jwksSourceSpecifier:
      keys === undefined
        ? { case: 'localJwks', value: { specifier: { case: 'inlineString', value: rule.jwks !== undefined && hasUsableKey(rule.jwks) ? rule.jwks : NOBODYS_KEYS } } }
        : {
            case: 'remoteJwks',
            value: {
              httpUri: { uri: keys.uri, httpUpstreamType: { case: 'cluster', value: keys.cluster }, timeout: durationOf(rule.timeout ?? '5s') },
              cacheDuration: duration(300_000),
              // In the background and at once, and again a second after a failure: the last good keys last through any outage of the issuer.
              asyncFetch: { fastListener: true, failedRefetchDuration: duration(1000) },
            },
          },
  }
}

/** The clusters of issuers outside the mesh. */
export function keyClusters(issuers: readonly Issuer[], origins: readonly string[]): Resource[] {
  const clusters = new Map(issuers.flatMap(({ keys }) => (keys?.outside === undefined ? [] : [[keys.cluster, keys.outside] as const])))
  return [...clusters].map(([name, server]) => outsideCluster(name, server, origins))
}
