import {
  type JwtAuthentication, JwtAuthenticationSchema, type JwtProvider, JwtProviderSchema, type JwtRequirement as WireRequirement, JwtRequirementSchema, type RemoteJwks, RemoteJwksSchema,
  type RequirementRule, RequirementRuleSchema,
} from '../wire/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts'
import { HttpUriSchema } from '../wire/gen/envoy/config/core/v3/http_uri_pb.ts'
import type { JwtKeysPlan, JwtPlan, JwtProviderPlan, JwtRequirement } from './jwt.ts'
import { at, type Reading } from './read.ts'
import { readRouteMatch } from './read-match.ts'
import { readStringMatch } from './read-string.ts'
import { milliseconds, readText } from './read-value.ts'

/** Envoy's defaults. */
const CACHE_MS = 600_000
const CLOCK_SKEW_S = 60

/** JwtAuthentication → JwtPlan. Rules by filter state are refused. */
export function readJwt(reading: Reading, path: string, wire: JwtAuthentication): JwtPlan {
  reading.only(path, JwtAuthenticationSchema, wire, ['providers', 'rules', 'bypass_cors_preflight', 'requirement_map', 'strip_failure_response', 'stat_prefix'])
  const providers = new Map(Object.entries(wire.providers).map(([name, one]) => [name, readProvider(reading, at(path, 'providers', name), name, one)]))
  const read = (where: string, requirement: WireRequirement): JwtRequirement => readRequirement(reading, where, requirement, providers)
  const requirements = new Map(Object.entries(wire.requirementMap).map(([name, one]) => [name, read(at(path, 'requirement_map', name), one)]))
  const rules = wire.rules.map((rule, index) => {
    const where = at(path, 'rules', index)
    reading.only(where, RequirementRuleSchema, rule, ['match', 'requires', 'requirement_name'])
    const { predicate } = readRouteMatch(reading, at(where, 'match'), rule.match)
    return { words: predicate.words, matches: predicate.matches, requirement: ruleRequirement(reading, where, rule, requirements, read) }
  })
  return { providers, rules, requirements, bypassCorsPreflight: wire.bypassCorsPreflight, stripFailureResponse: wire.stripFailureResponse }
}

function ruleRequirement(
  reading: Reading, path: string, rule: RequirementRule, requirements: ReadonlyMap<string, JwtRequirement>, read: (where: string, one: WireRequirement) => JwtRequirement,
): JwtRequirement | undefined {
  const by = rule.requirementType
  if (by.case === 'requires') return by.value.requiresType.case === undefined ? undefined : read(at(path, 'requires'), by.value)
  if (by.case === undefined) return undefined
  const named = requirements.get(by.value)
  if (named === undefined) reading.invalid(at(path, 'requirement_name'), 'is not in requirement_map', by.value)
  return named
}

function readRequirement(reading: Reading, path: string, wire: WireRequirement, providers: ReadonlyMap<string, JwtProviderPlan>): JwtRequirement {
  reading.only(path, JwtRequirementSchema, wire, ['provider_name', 'provider_and_audiences', 'requires_any', 'requires_all', 'allow_missing_or_failed', 'allow_missing'])
  const by = wire.requiresType
  const provider = (name: string, audiences: readonly string[] | undefined): JwtRequirement => {
    if (!providers.has(name)) reading.invalid(path, 'names no provider of this filter', name)
    return { kind: 'provider', provider: name, audiences }
  }
  switch (by.case) {
    case 'providerName':
      return provider(by.value, undefined)
    case 'providerAndAudiences':
      return provider(by.value.providerName, by.value.audiences)
    case 'requiresAny':
      return { kind: 'any', of: by.value.requirements.map((one, index) => readRequirement(reading, at(at(path, 'requires_any'), 'requirements', index), one, providers)) }
    case 'requiresAll':
      return { kind: 'all', of: by.value.requirements.map((one, index) => readRequirement(reading, at(at(path, 'requires_all'), 'requirements', index), one, providers)) }
    case 'allowMissing':
      return { kind: 'allow-missing' }
    case 'allowMissingOrFailed':
      return { kind: 'allow-missing-or-failed' }
    case undefined:
      // Nothing is required: as Envoy, which lets such a request pass.
      return { kind: 'all', of: [] }
    default:
      return { kind: 'all', of: [] }
  }
}

function readProvider(reading: Reading, path: string, name: string, wire: JwtProvider): JwtProviderPlan {
  // A cache of verified tokens is Weft's own affair.
  reading.only(path, JwtProviderSchema, wire, [
    'issuer', 'audiences', 'subjects', 'require_expiration', 'max_lifetime', 'remote_jwks', 'local_jwks', 'forward', 'from_headers', 'from_params', 'from_cookies', 'forward_payload_header',
    'pad_forward_payload_header', 'payload_in_metadata', 'normalize_payload_in_metadata', 'clock_skew_seconds', 'jwt_cache_config', 'claim_to_headers', 'clear_route_cache',
  ])
  // Readers of claims look under `payload`, which is Istio's name.
  if (wire.payloadInMetadata !== '' && wire.payloadInMetadata !== 'payload') reading.unsupported(at(path, 'payload_in_metadata'), 'only payload is supported', wire.payloadInMetadata)
  const silent = wire.fromHeaders.length === 0 && wire.fromParams.length === 0 && wire.fromCookies.length === 0
  return {
    name,
    issuer: wire.issuer,
    audiences: wire.audiences,
    subject: wire.subjects && readStringMatch(reading, at(path, 'subjects'), wire.subjects),
    requireExpiration: wire.requireExpiration,
    lifetimeMaxMs: milliseconds(wire.maxLifetime, 0),
    clockSkewMs: (wire.clockSkewSeconds || CLOCK_SKEW_S) * 1000,
    // Where nothing is said: RFC 6750 §2.1 and §2.3.
    fromHeaders: silent ? [{ name: 'authorization', prefix: 'Bearer ' }] : wire.fromHeaders.map((one) => ({ name: one.name.toLowerCase(), prefix: one.valuePrefix })),
    fromParams: silent ? ['access_token'] : wire.fromParams,
    fromCookies: wire.fromCookies,
    forward: wire.forward,
    payloadHeader: wire.forwardPayloadHeader.toLowerCase(),
    payloadPadded: wire.padForwardPayloadHeader,
    claimHeaders: wire.claimToHeaders.map((one) => ({ header: one.headerName.toLowerCase(), claim: one.claimName.split('.') })),
    tellsClaims: wire.payloadInMetadata !== '',
    spacedClaims: wire.normalizePayloadInMetadata?.spaceDelimitedClaims ?? [],
    reroutes: wire.clearRouteCache,
    keys: readKeys(reading, path, wire),
  }
}

const NO_KEYS: JwtKeysPlan = { kind: 'local', jwks: '{"keys":[]}' }

function readKeys(reading: Reading, path: string, wire: JwtProvider): JwtKeysPlan {
  const by = wire.jwksSourceSpecifier
  switch (by.case) {
    case 'localJwks': {
      const jwks = readText(reading, at(path, 'local_jwks'), by.value)
      if (jwks === undefined) return NO_KEYS
      if (!isKeySet(jwks)) reading.invalid(at(path, 'local_jwks'), 'is no JSON Web Key Set')
      return { kind: 'local', jwks }
    }
    case 'remoteJwks':
      return readRemote(reading, at(path, 'remote_jwks'), by.value)
    case undefined:
      reading.invalid(path, 'has no source of keys')
      return NO_KEYS
  }
}

function readRemote(reading: Reading, path: string, wire: RemoteJwks): JwtKeysPlan {
  // How eagerly and how often keys are fetched is decided here: always in the background, at once, and again within ten seconds after a failure.
  reading.only(path, RemoteJwksSchema, wire, ['http_uri', 'cache_duration', 'async_fetch', 'retry_policy'])
  const uri = wire.httpUri
  if (uri === undefined) {
    reading.invalid(at(path, 'http_uri'), 'is missing')
    return NO_KEYS
  }
  reading.only(at(path, 'http_uri'), HttpUriSchema, uri, ['uri', 'cluster', 'timeout'])
  if (!/^https?:\/\/[^/\s]+/.test(uri.uri)) reading.invalid(at(path, 'http_uri.uri'), 'is no absolute http or https address', uri.uri)
  const cluster = uri.httpUpstreamType.value ?? ''
  if (cluster === '') reading.invalid(at(path, 'http_uri.cluster'), 'is missing')
  return { kind: 'remote', uri: uri.uri, cluster, timeoutMs: milliseconds(uri.timeout, 5000), cacheMs: milliseconds(wire.cacheDuration, CACHE_MS) }
}

/** RFC 7517 §5. */
function isKeySet(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && 'keys' in value && Array.isArray(value.keys)
  } catch {
    // No JSON at all.
    return false
  }
}
