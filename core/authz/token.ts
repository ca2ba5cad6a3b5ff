import type { JwtProviderPlan } from '../plan/jwt.ts'

/** A JSON Web Token in compact form (RFC 7519, RFC 7515 §7.1), taken apart and not yet believed. */
export interface Token {
  readonly algorithm: string
  /** Empty: the token does not name its key. */
  readonly keyId: string
  readonly claims: Readonly<Record<string, unknown>>
  /** `header.payload`: what the signature covers. */
  readonly signed: string
  /** Base64url. */
  readonly payload: string
  readonly signature: string
}

/** Why a token does not do, in Envoy's words (jwt_verify_lib status.cc): clients and dashboards know them. */
export const tokenProblems = {
  missing: 'Jwt is missing',
  form: 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections',
  header: 'Jwt header is an invalid JSON',
  payload: 'Jwt payload is an invalid JSON',
  algorithm: 'Jwt header [alg] is not supported',
  issuer: 'Jwt issuer is not configured',
  expired: 'Jwt is expired',
  early: 'Jwt not yet valid',
  subject: "Jwt subject is not allowed",
  lifetime: 'Jwt lifetime exceeds the maximum allowed',
  noExpiration: 'Jwt must have an expiration',
  audience: 'Audiences in Jwt are not allowed',
  signature: 'Jwt verification fails',
  noKey: "Jwks doesn't have key to match kid or alg from Jwt",
  noKeys: 'Jwks remote fetch is failed',
} as const

export type TokenProblem = (typeof tokenProblems)[keyof typeof tokenProblems]

/** `decode` turns base64url into text, and is a door: core has no codec of its own for it. */
export function parseToken(text: string, decode: (base64url: string) => string): Token | TokenProblem {
  const parts = text.split('.')
  const [header, payload, signature] = parts
  if (parts.length !== 3 || header === undefined || payload === undefined || signature === undefined || !parts.every((part) => /^[A-Za-z0-9_-]+$/.test(part))) return tokenProblems.form
  const head = objectIn(decode(header))
  if (head === undefined) return tokenProblems.header
  const claims = objectIn(decode(payload))
  if (claims === undefined) return tokenProblems.payload
  const { alg, kid } = head
  if (typeof alg !== 'string') return tokenProblems.algorithm
  return { algorithm: alg, keyId: typeof kid === 'string' ? kid : '', claims, signed: `${header}.${payload}`, payload, signature }
}

function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value)) : undefined
  } catch {
    // No JSON.
    return undefined
  }
}

/** Judges what a token claims, apart from its signature, in Envoy's order. Undefined: it may pass. `nowMs` since the epoch. */
export function judgeClaims(provider: JwtProviderPlan, audiences: readonly string[] | undefined, token: Token, nowMs: number): TokenProblem | undefined {
  const { claims } = token
  if (provider.issuer !== '' && claims['iss'] !== provider.issuer) return tokenProblems.issuer
  const { subject } = provider
  if (subject !== undefined && !(typeof claims['sub'] === 'string' && subject.matches(claims['sub']))) return tokenProblems.subject
  const expires = numberOf(claims['exp'])
  const begins = numberOf(claims['nbf'])
  if (expires === undefined && provider.requireExpiration) return tokenProblems.noExpiration
  if (provider.lifetimeMaxMs > 0 && expires !== undefined) {
    const issued = numberOf(claims['iat']) ?? begins ?? nowMs / 1000
    if ((expires - issued) * 1000 > provider.lifetimeMaxMs) return tokenProblems.lifetime
  }
  if (begins !== undefined && begins * 1000 > nowMs + provider.clockSkewMs) return tokenProblems.early
  if (expires !== undefined && expires * 1000 + provider.clockSkewMs < nowMs) return tokenProblems.expired
  const allowed = audiences !== undefined && audiences.length > 0 ? audiences : provider.audiences
  if (allowed.length > 0 && !audiencesOf(claims['aud']).some((one) => allowed.some((want) => sameAudience(one, want)))) return tokenProblems.audience
  return undefined
}

const numberOf = (value: unknown): number | undefined => (typeof value === 'number' && Number.isFinite(value) ? value : undefined)

function audiencesOf(value: unknown): string[] {
  const all: unknown[] = Array.isArray(value) ? value : [value]
  return all.filter((one) => typeof one === 'string')
}

/** As Envoy (check_audience.cc): scheme and a slash at the end do not count. */
function sameAudience(a: string, b: string): boolean {
  return bare(a) === bare(b)
}

function bare(audience: string): string {
  return audience.replace(/^https?:\/\//, '').replace(/\/$/, '')
}

/** Claims as RBAC and routes read them: those of words with spaces between become lists (normalize_payload_in_metadata). */
export function normalizeClaims(provider: JwtProviderPlan, claims: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  if (provider.spacedClaims.length === 0) return claims
  const normalized: Record<string, unknown> = { ...claims }
  for (const name of provider.spacedClaims) {
    const value = normalized[name]
    if (typeof value === 'string') normalized[name] = value.split(' ').filter((word) => word !== '')
  }
  return normalized
}
