import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import type { TokenDoor } from '#core/explain/tokens.ts'
import type { RequestsFile, TokenWords } from '#core/contract/requests-file.ts'

/** How a configuration names the keys of a run among those of a `jwks`. */
const OWN_KEYS = '/etc/weft-test/keys.json'
/** A set that a configuration's judge takes, and that names the keys of the run still. */
const STAND_IN = JSON.stringify({ keys: [{ kty: 'RSA', n: 'AQAB', e: 'AQAB', kid: OWN_KEYS }] })
const HOUR_S = 3600
const DAY_S = 86_400

/** Tokens of a run: made when it begins, signed by a key that nobody had before. */
export interface Tokens {
  /** A JSON Web Key Set (RFC 7517 §5) of what signs them, forged ones apart. */
  readonly jwks: string
  /** `${NAME}` in a text is the token of that name. */
  fill(text: string): string
  /** A JSON Web Key Set that names the keys of the run, with these in their place; any other text as it is. */
  withKeys(text: string): string
  /** By which the router judges tokens: forged ones of the run are refused, whose signature it cannot judge is believed. */
  readonly door: TokenDoor
}

/** @param nowMs since the epoch; tokens are good for an hour from then */
export function makeTokens(words: RequestsFile['tokens'], nowMs: number): Tokens {
  const all = Object.entries(words ?? {})
  const rsa = all.some(([, one]) => one.algorithm === 'RS256') ? rsaKey() : undefined
  const own = { ES256: ecKey(), RS256: rsa }
  const forger = { ES256: ecKey(), RS256: rsa === undefined ? undefined : rsaKey() }
  const tokens = new Map(all.map(([name, one]) => [name, tokenOf(one, (one.forged === true ? forger : own)[one.algorithm ?? 'ES256'], Math.floor(nowMs / 1000))]))
  const bad = new Set(all.filter(([, one]) => one.forged === true || one.unsigned === true).map(([name]) => tokens.get(name)))
  const jwks = JSON.stringify({ keys: Object.entries(own).flatMap(([alg, key]) => (key === undefined ? [] : [{ ...createPublicKey(key).export({ format: 'jwk' }), kid: keyId(alg), alg, use: 'sig' }])) })
  return {
    jwks,
    fill: (text) => text.replaceAll(/\$\{([^}]+)\}/g, (whole, name: string) => tokens.get(name) ?? whole),
    withKeys: (text) => (text.includes(`"${OWN_KEYS}"`) ? jwks : text),
    door: { nowMs, isSigned: (token) => !bad.has(token) },
  }
}

/** A configuration's value in which a key set that names the keys of a run by their path alone has the form of one. */
export function withReadableKeys(value: unknown): unknown {
  if (typeof value === 'string') return value.includes(`"${OWN_KEYS}"`) ? STAND_IN : value
  if (Array.isArray(value)) return value.map(withReadableKeys)
  return value !== null && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, withReadableKeys(one)])) : value
}

const ecKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const rsaKey = (): KeyObject => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const keyId = (algorithm: string): string => `run-${algorithm}`

/** Compact form (RFC 7515 §7.1). */
function tokenOf(words: TokenWords, key: KeyObject | undefined, nowS: number): string {
  const { issuer, subject, audiences, algorithm = 'ES256' } = words
  const claims = {
    ...(issuer === undefined ? {} : { iss: issuer }),
    ...(subject === undefined ? {} : { sub: subject }),
    ...(audiences === undefined ? {} : { aud: audiences.length === 1 ? audiences[0] : audiences }),
    iat: nowS - DAY_S,
    ...(words.early === true ? { nbf: nowS + HOUR_S } : {}),
    exp: words.expired === true ? nowS - HOUR_S : nowS + 2 * HOUR_S,
    ...words.claims,
  }
  const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const head = words.unsigned === true ? { alg: 'none', typ: 'JWT' } : { alg: algorithm, typ: 'JWT', kid: keyId(algorithm) }
  const text = `${encoded(head)}.${encoded(claims)}`
  if (words.unsigned === true || key === undefined) return `${text}.`
  return `${text}.${sign('sha256', Buffer.from(text), algorithm === 'ES256' ? { key, dsaEncoding: 'ieee-p1363' } : key).toString('base64url')}`
}
