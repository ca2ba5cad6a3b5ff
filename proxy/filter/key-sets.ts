import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { backOffMs } from '#core/time/back-off.ts'
import type { JwtKeysPlan } from '#core/plan/jwt.ts'
import { type Token, type TokenProblem, tokenProblems } from '#core/authz/token.ts'
import type { Doors, Timer } from '#core/time/clock.ts'
import type { Callouts } from '../upstream/callout.ts'
import type { Cluster } from '../upstream/cluster.ts'

/** A never-fetched issuer is asked again within this. */
const RETRY_MAX_MS = 10_000
const RETRY_FIRST_MS = 500
/** A token with a key id that is not known may bring the next fetch forward, this often at most. */
const EARLY_REFETCH_MS = 5_000
/** Keys that no configuration names any more are kept this long: a rollout's way back finds them. */
const UNUSED_KEPT_MS = 3_600_000

type Remote = Extract<JwtKeysPlan, { kind: 'remote' }>

interface PublicKey {
  readonly id: string
  /** Empty: any that fits the kind of key. */
  readonly algorithm: string
  readonly key: KeyObject
}

/** Keys of one issuer. */
export class KeySet {
  /** Undefined until they were fetched once. Kept through any outage of the issuer. */
  keys: readonly PublicKey[] | undefined
  /** Grows with each new set, so that verdicts of older keys are forgotten. */
  epoch = 0

  use(jwks: string): boolean {
    const read = readKeys(jwks)
    if (read === undefined) return false
    this.keys = read
    this.epoch += 1
    return true
  }

  /** Undefined: the signature is good. */
  check(token: Token): TokenProblem | undefined {
    if (this.keys === undefined) return tokenProblems.noKeys
    const how = ALGORITHMS[token.algorithm]
    if (how === undefined) return tokenProblems.algorithm
    let tried = false
    for (const one of this.keys) {
      if (token.keyId !== '' && one.id !== '' && one.id !== token.keyId) continue
      if (one.algorithm !== '' && one.algorithm !== token.algorithm) continue
      if (one.key.asymmetricKeyType !== how.keyType || (how.curve !== undefined && one.key.asymmetricKeyDetails?.namedCurve !== how.curve)) continue
      tried = true
      const key = { key: one.key, ...(how.keyType === 'ec' ? { dsaEncoding: 'ieee-p1363' as const } : {}), ...(how.pss ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST } : {}) }
      if (verify(how.hash, Buffer.from(token.signed, 'latin1'), key, Buffer.from(token.signature, 'base64url'))) return undefined
    }
    return tried ? tokenProblems.signature : tokenProblems.noKey
  }
}

interface Algorithm {
  readonly hash: string | undefined
  readonly keyType: 'rsa' | 'ec' | 'ed25519'
  readonly curve?: string
  readonly pss?: boolean
}

/** RFC 7518 §3.1 and RFC 8037 §3.1. HMAC is left out: whoever could check a token could make one. */
const ALGORITHMS: Readonly<Record<string, Algorithm>> = {
  RS256: { hash: 'sha256', keyType: 'rsa' },
  RS384: { hash: 'sha384', keyType: 'rsa' },
  RS512: { hash: 'sha512', keyType: 'rsa' },
  PS256: { hash: 'sha256', keyType: 'rsa', pss: true },
  PS384: { hash: 'sha384', keyType: 'rsa', pss: true },
  PS512: { hash: 'sha512', keyType: 'rsa', pss: true },
  ES256: { hash: 'sha256', keyType: 'ec', curve: 'prime256v1' },
  ES384: { hash: 'sha384', keyType: 'ec', curve: 'secp384r1' },
  ES512: { hash: 'sha512', keyType: 'ec', curve: 'secp521r1' },
  EdDSA: { hash: undefined, keyType: 'ed25519' },
}

/** RFC 7517 §5; keys that are none of ours are passed over, as the RFC says. Undefined: it is no key set, or holds no key that could check anything. */
function readKeys(jwks: string): PublicKey[] | undefined {
  let value: unknown
  try {
    value = JSON.parse(jwks)
  } catch {
    // An error page, say.
    return undefined
  }
  if (typeof value !== 'object' || value === null || !('keys' in value) || !Array.isArray(value.keys)) return undefined
  const keys: PublicKey[] = []
  for (const one of value.keys as unknown[]) {
    if (typeof one !== 'object' || one === null) continue
    const jwk: Record<string, unknown> = Object.fromEntries(Object.entries(one))
    if (jwk['kty'] === 'oct' || (jwk['use'] !== undefined && jwk['use'] !== 'sig')) continue
    try {
      keys.push({ id: textOf(jwk['kid']), algorithm: textOf(jwk['alg']), key: createPublicKey({ key: jwk, format: 'jwk' }) })
    } catch {
      // A kind of key, or a curve, that this runtime does not know.
    }
  }
  return keys.length === 0 ? undefined : keys
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** What the sets of one proxy need. */
export interface KeyDoors {
  readonly doors: Doors
  readonly callouts: Callouts
  cluster(name: string): Cluster | undefined
}

/** Keys that are fetched: in the background, from when a configuration first names them; each issuer by itself, so that a slow one holds up none of the others. */
class RemoteKeys {
  readonly set = new KeySet()
  usedMs: number
  readonly #plan: Remote
  readonly #around: KeyDoors
  #timer: Timer | undefined
  #fetching: Promise<void> | undefined
  #failures = 0
  #fetchedMs = -Infinity

  constructor(plan: Remote, around: KeyDoors) {
    this.#plan = plan
    this.#around = around
    this.usedMs = around.doors.clock.monotonicMs()
    void this.fetch()
  }

  /** One fetch at a time; whoever asks while one runs waits for that one. Never rejects. */
  fetch(): Promise<void> {
    this.#timer?.cancel()
    return (this.#fetching ??= this.#fetch().finally(() => (this.#fetching = undefined)))
  }

  async #fetch(): Promise<void> {
    const { doors, callouts } = this.#around
    const { uri, cluster, timeoutMs, cacheMs } = this.#plan
    this.#fetchedMs = doors.clock.monotonicMs()
    let good = false
    try {
      const { host, pathname, search } = new URL(uri)
      const answer = await callouts.ask(this.#around.cluster(cluster), { method: 'GET', path: pathname + search, authority: host, headers: [['accept', 'application/json']], body: undefined, timeoutMs })
      good = answer.status === 200 && this.set.use(answer.body.toString())
    } catch {
      // The keys that are here stay; the next fetch is set below.
    }
    this.#failures = good ? 0 : this.#failures + 1
    const waitMs = good ? cacheMs : backOffMs(this.#failures - 1, doors.random.draw(), RETRY_FIRST_MS, RETRY_MAX_MS)
    this.#timer = doors.clock.after(waitMs, () => void this.fetch())
  }

  /** For a token whose key is not here: perhaps the issuer has rotated. False: a fetch was made just now. */
  async refetchEarly(): Promise<boolean> {
    if (this.#fetching === undefined && this.#around.doors.clock.monotonicMs() - this.#fetchedMs < EARLY_REFETCH_MS) return false
    await this.fetch()
    return true
  }

  stop(): void {
    this.#timer?.cancel()
  }
}

/** All key sets of one proxy. They outlive listeners and routes: a change of configuration loses no keys. */
export class KeySets {
  readonly #around: KeyDoors
  readonly #remote = new Map<string, RemoteKeys>()

  constructor(around: KeyDoors) {
    this.#around = around
  }

  /** The set of a provider. For a remote one the fetch begins, if it has not. */
  of(plan: JwtKeysPlan): { readonly set: KeySet; refetchEarly(): Promise<boolean> } {
    if (plan.kind === 'local') {
      const set = new KeySet()
      set.use(plan.jwks)
      return { set, refetchEarly: () => Promise.resolve(false) }
    }
    const key = `${plan.cluster} ${plan.uri}`
    const known = this.#remote.get(key)
    const nowMs = this.#around.doors.clock.monotonicMs()
    if (known !== undefined) {
      known.usedMs = nowMs
      return known
    }
    for (const [old, keys] of this.#remote) {
      if (nowMs - keys.usedMs < UNUSED_KEPT_MS) continue
      keys.stop()
      this.#remote.delete(old)
    }
    const made = new RemoteKeys(plan, this.#around)
    this.#remote.set(key, made)
    return made
  }

  close(): void {
    for (const keys of this.#remote.values()) keys.stop()
    this.#remote.clear()
  }
}
