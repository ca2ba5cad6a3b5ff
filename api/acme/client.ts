import { request as httpsRequest } from 'node:https'
import type { Clock } from '#core/time/clock.ts'
import { signed } from './jose.ts'
import type { AccountKey } from './jose.ts'

/** What the authority answered instead of what was asked for (RFC 8555 §6.7). */
export class AcmeProblem extends Error {
  /** `urn:ietf:params:acme:error:rateLimited` → `rateLimited`; `unreachable` where it did not answer. */
  readonly kind: string
  /** How long it wants to be left alone; 0: it says nothing. */
  readonly retryAfterMs: number

  constructor(kind: string, detail: string, retryAfterMs = 0, cause?: unknown) {
    super(`${kind}: ${detail}`, cause === undefined ? undefined : { cause })
    this.name = 'AcmeProblem'
    this.kind = kind
    this.retryAfterMs = retryAfterMs
  }
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

export interface Challenge { readonly type: string; readonly url: string; readonly token: string; readonly status: string; readonly error?: { readonly type?: string; readonly detail?: string } }
export interface Authorization { readonly url: string; readonly status: string; readonly identifier: { readonly value: string }; readonly challenges: readonly Challenge[] }
export interface Order { readonly url: string; readonly status: string; readonly authorizations: readonly string[]; readonly finalize: string; readonly certificate?: string; readonly error?: { readonly type?: string; readonly detail?: string } }

const ANSWER_WITHIN_MS = 20_000
const ANSWER_BYTES_MAX = 1024 * 1024
const POLL_MS = 500
const POLL_MS_MAX = 10_000
const SETTLED_WITHIN_MS = 120_000
/** RFC 8555 §6.5: a nonce may be refused, and the refusal brings a new one. */
const NONCE_TRIES = 4

/** One account at one authority, as RFC 8555 has it. */
export class AcmeClient {
  readonly #directoryUrl: string
  readonly #key: AccountKey
  readonly #clock: Clock
  readonly #roots: string | undefined
  readonly #signal: AbortSignal
  #directory: Readonly<Record<string, unknown>> | undefined
  #nonce: string | undefined
  #kid: string | undefined

  /** `roots`: PEM that the authority's own certificate leads to; undefined: those of the system. `signal`: gives up what is under way. */
  constructor(directoryUrl: string, key: AccountKey, clock: Clock, { roots, signal }: { readonly roots: string | undefined; readonly signal: AbortSignal }) {
    this.#directoryUrl = directoryUrl
    this.#key = key
    this.#clock = clock
    this.#roots = roots
    this.#signal = signal
  }

  /** The account of the key, made where there is none. */
  async enter(email: string | undefined): Promise<void> {
    const answer = await this.#post(await this.#place('newAccount'), { termsOfServiceAgreed: true, ...(email === undefined ? {} : { contact: [`mailto:${email}`] }) })
    this.#kid = String(answer.headers['location'])
  }

  async order(hosts: readonly string[]): Promise<Order> {
    const answer = await this.#post(await this.#place('newOrder'), { identifiers: hosts.map((value) => ({ type: 'dns', value })) })
    return orderOf(String(answer.headers['location']), answer)
  }

  async authorization(url: string): Promise<Authorization> {
    const answer = await this.#post(url, undefined)
    return { url, ...(JSON.parse(answer.body) as Omit<Authorization, 'url'>) }
  }

  /** The challenge may be looked at now. */
  async ready(challenge: Challenge): Promise<void> {
    await this.#post(challenge.url, {})
  }

  /** Waits until the authority has made up its mind. @throws AcmeProblem when it is against us */
  async proven(url: string): Promise<void> {
    await this.#settled(async () => {
      const { status, identifier, challenges } = await this.authorization(url)
      if (status === 'valid') return true
      if (status === 'pending') return undefined
      const error = challenges.find((one) => one.error !== undefined)?.error
      throw new AcmeProblem(kindOf(error?.type), `${identifier.value}: ${error?.detail ?? `the authorization is ${status}`}`)
    })
  }

  /** The certificate's chain as PEM. `csr`: PKCS #10, DER. */
  async finalize(order: Order, csr: Buffer): Promise<string> {
    await this.#settled(async () => (await this.#orderAt(order.url)).status === 'ready' || undefined)
    await this.#post(order.finalize, { csr: csr.toString('base64url') })
    const url = await this.#settled(async () => (await this.#orderAt(order.url)).certificate)
    const { body } = await this.#post(url, undefined)
    if (!body.includes('-----BEGIN CERTIFICATE-----')) throw new AcmeProblem('malformed', 'the certificate is no PEM')
    return body
  }

  async #orderAt(url: string): Promise<Order> {
    const order = orderOf(url, await this.#post(url, undefined))
    if (order.status === 'invalid') throw new AcmeProblem(kindOf(order.error?.type), order.error?.detail ?? 'the order is invalid')
    return order
  }

  async #settled<T>(look: () => Promise<T | undefined>): Promise<T> {
    const deadlineMs = this.#clock.monotonicMs() + SETTLED_WITHIN_MS
    for (let waitMs = POLL_MS; ; waitMs = Math.min(2 * waitMs, POLL_MS_MAX)) {
      const found = await look()
      if (found !== undefined) return found
      if (this.#clock.monotonicMs() >= deadlineMs) throw new AcmeProblem('unreachable', 'the authority does not come to a decision')
      await this.#later(waitMs)
    }
  }

  #later(waitMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const abandon = (): void => {
        timer.cancel()
        reject(new AcmeProblem('unreachable', 'given up'))
      }
      const timer = this.#clock.after(waitMs, () => {
        this.#signal.removeEventListener('abort', abandon)
        resolve()
      })
      if (this.#signal.aborted) abandon()
      else this.#signal.addEventListener('abort', abandon, { once: true })
    })
  }

  async #place(name: string): Promise<string> {
    this.#directory ??= JSON.parse((await this.#ask('GET', this.#directoryUrl)).body) as Readonly<Record<string, unknown>>
    const url = this.#directory[name]
    if (typeof url !== 'string') throw new AcmeProblem('malformed', `the directory has no ${name}`)
    return url
  }

  async #post(url: string, payload: object | undefined): Promise<Answer> {
    for (let tries = 1; ; tries++) {
      const nonce = this.#nonce ?? String((await this.#ask('HEAD', await this.#place('newNonce'))).headers['replay-nonce'])
      this.#nonce = undefined
      try {
        return await this.#ask('POST', url, signed(this.#key, { url, nonce, kid: this.#kid }, payload))
      } catch (error) {
        if (!(error instanceof AcmeProblem) || error.kind !== 'badNonce' || tries >= NONCE_TRIES) throw error
      }
    }
  }

  async #ask(method: 'GET' | 'HEAD' | 'POST', url: string, body?: string): Promise<Answer> {
    const answer = await this.#send(method, url, body)
    const nonce = answer.headers['replay-nonce']
    if (method === 'POST' && typeof nonce === 'string') this.#nonce = nonce
    if (answer.status < 400) return answer
    const { type, detail } = problemOf(answer.body)
    throw new AcmeProblem(kindOf(type), detail ?? `status ${answer.status}`, retryAfterMs(answer.headers['retry-after'], this.#clock.wallMs()))
  }

  #send(method: string, url: string, body: string | undefined): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const failed = (cause: unknown): void => reject(new AcmeProblem('unreachable', cause instanceof Error ? cause.message : String(cause), 0, cause))
      if (!url.startsWith('https://')) return failed(new Error('an authority is spoken to over https alone'))
      const request = httpsRequest(
        url,
        { method, signal: this.#signal, headers: { 'user-agent': 'weft', ...(body === undefined ? {} : { 'content-type': 'application/jose+json', 'content-length': Buffer.byteLength(body) }) }, ...(this.#roots === undefined ? {} : { ca: this.#roots }) },
        (response) => {
          let text = ''
          response.setEncoding('utf8')
          response.on('data', (chunk: string) => {
            text += chunk
            if (text.length > ANSWER_BYTES_MAX) request.destroy(new Error('the answer is too large'))
          })
          response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }))
          response.on('error', failed)
        },
      )
      // For all of the answer: one that trickles is no answer either.
      const deadline = this.#clock.after(ANSWER_WITHIN_MS, () => request.destroy(new Error('no answer in time')))
      request.on('close', () => deadline.cancel())
      request.on('error', failed)
      request.end(body)
    })
  }
}

const orderOf = (url: string, answer: Answer): Order => ({ ...(JSON.parse(answer.body) as Omit<Order, 'url'>), url })

const kindOf = (type: string | undefined): string => type?.split(':').at(-1) ?? 'serverInternal'

function problemOf(body: string): { type?: string; detail?: string } {
  try {
    return JSON.parse(body) as { type?: string; detail?: string }
  } catch {
    // Something in between answered, in its own words.
    return {}
  }
}

/** RFC 9110 §10.2.3: seconds or a date. */
function retryAfterMs(value: string | string[] | undefined, nowMs: number): number {
  const text = String(value ?? '')
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const at = Date.parse(text)
  return Number.isNaN(at) ? 0 : Math.max(0, at - nowMs)
}
