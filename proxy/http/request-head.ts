/* oxlint-disable typescript/no-non-null-assertion -- every index stays within its typed array: the loops are bounded by it */
import type { RequestHead } from '#core/route/request.ts'
import { clientAddress, clientScheme } from '#core/route/forwarded.ts'
import { CHUNKED, LENGTH, NO_BODY } from './body.ts'
import { CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED_FOR, FORWARDED_PROTO, HOST, KEEP_ALIVE, OTHER, PROXY_AUTHORIZATION, PROXY_CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, kindOfName } from './field-kind.ts'
import { FieldTable } from './head-scan.ts'

/** Why a head is refused: the status that says it, and Envoy's `response_code_details` word. */
export interface HeadProblem {
  readonly status: number
  readonly details: string
}

const problem = (status: number, details: string): HeadProblem => ({ status, details })
export const problems = {
  startLine: problem(400, 'http1.codec_error'),
  field: problem(400, 'http1.invalid_characters'),
  version: problem(426, 'low_version'),
  tooLarge: problem(431, 'request_headers_too_large'),
  tooMany: problem(431, 'http1.too_many_headers'),
  contentLength: problem(400, 'http1.content_length_not_allowed'),
  transferEncoding: problem(501, 'http1.invalid_transfer_encoding'),
  smuggling: problem(400, 'http1.content_length_and_chunked_not_allowed'),
  host: problem(400, 'missing_host_header'),
  target: problem(400, 'http1.invalid_url'),
  fragment: problem(400, 'fragment_in_url_path'),
  chunk: problem(400, 'http1.codec_error'),
  timeout: problem(408, 'request_header_timeout'),
} as const

/** Digits of a Content-Length; -1 when it is anything else. Fifteen digits stay below 2^53. */
export function readContentLength(text: string): number {
  if (text.length === 0 || text.length > 15) return -1
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 48 || code > 57) return -1
  }
  return Number(text)
}

/** reg-name, IPv4 or bracketed IPv6 with an optional port (RFC 3986 §3.2.2), without userinfo. */
const AUTHORITY = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]+)(?::[0-9]{0,5})?$/

export const isAuthority = (text: string): boolean => text.length > 0 && text.length <= 260 && AUTHORITY.test(text)

const NOTHING_WRITTEN: ReadonlyMap<string, string | undefined> = new Map()

const CHUNKED_WORD = /^chunked$/i

/** A request's head as it came, with offsets into one latin1 string. One per connection, filled anew for each request. */
export class HttpRequestHead implements RequestHead {
  readonly fields = new FieldTable()
  method = ''
  authority = ''
  path = ''
  scheme: 'http' | 'https' = 'http'
  /** Body framing, and its length for LENGTH. */
  framing = NO_BODY
  bodyLength = 0
  expectsContinue = false
  /** The client asks to close after this exchange. */
  closes = false
  /** Lower-case protocol of an Upgrade that `Connection` names too; empty without. */
  upgrade = ''
  /** Index of each field to leave out when forwarding is marked here: hop-by-hop ones. */
  dropped = new Uint8Array(24)
  /** The target as received. */
  target = ''
  /** Of a verified token. */
  claims: { readonly [name: string]: unknown } | undefined = undefined
  #trusts = false
  #trustedHops = 0
  #usesPeer = false
  /** Headers that filters took away (undefined) or wrote: what decides later reads these, and not what the client sent under their names. */
  #written: Map<string, string | undefined> | undefined = undefined

  /** Of a request before, found to be one. */
  #goodAuthority: string | undefined = undefined

  /** Forgets the last request, so that nothing of it is told of one that cannot be read. */
  clear(): void {
    this.fields.reset()
    this.method = ''
    this.authority = ''
    this.path = ''
    this.target = ''
    this.framing = NO_BODY
    this.closes = false
    this.upgrade = ''
    this.forgetDecisions()
  }

  /** A head is filled again for the next request, which must not pass by what was found out about the last one. */
  forgetDecisions(): void {
    this.claims = undefined
    this.#trusts = false
    this.#written = undefined
  }

  /** What x-forwarded-for says is believed, so far (core/route/forwarded.ts). */
  trustForwarded(hops: number, usesPeer: boolean): void {
    this.#trusts = true
    this.#trustedHops = hops
    this.#usesPeer = usesPeer
    this.scheme = clientScheme(this.fields.findKind(FORWARDED_PROTO), hops, usesPeer) ?? this.scheme
  }

  /** The client's, as trusted hops tell it; undefined: the peer's. Looked for when somebody asks, which most requests' policies do not. */
  get remoteAddress(): string | undefined {
    return this.#trusts ? clientAddress(this.fields.findKind(FORWARDED_FOR), this.#trustedHops, this.#usesPeer) : undefined
  }

  /** From here on the header reads as `value`; undefined: as absent. Its lines are the caller's to drop and to add. */
  overwrite(lowerName: string, value: string | undefined): void {
    ;(this.#written ??= new Map()).set(lowerName, value)
  }

  /** What filters took away or wrote, by lower-case name. */
  get overwritten(): ReadonlyMap<string, string | undefined> {
    return this.#written ?? NOTHING_WRITTEN
  }

  header(name: string): string | undefined {
    if (this.#written?.has(name) === true) return this.#written.get(name)
    if (name === 'host' || name === ':authority') return this.authority
    if (name === ':method') return this.method
    if (name === ':path') return this.path
    if (name === ':scheme') return this.scheme
    const kind = kindsByName.get(name)
    return kind === undefined ? this.fields.find(name) : this.fields.findKind(kind)
  }

  /**
   * Reads what the scanned fields mean: target, host, framing, connection options.
   * RFC 9112 §3.2 (target and Host), §6 (body); RFC 9110 §7.6.1 (Connection).
   * Undefined when the head is good.
   */
  interpret(): HeadProblem | undefined {
    const fields = this.fields
    const { text, kinds, count } = fields
    // The most frequent one without a string of its own, and one that is compared by its address.
    this.method = fields.firstEnd === 3 && text.startsWith('GET') ? 'GET' : text.slice(0, fields.firstEnd)
    this.target = text.slice(fields.firstEnd + 1, fields.secondEnd)
    this.framing = NO_BODY
    this.bodyLength = 0
    this.expectsContinue = false
    this.closes = false
    this.upgrade = ''
    this.forgetDecisions()
    if (this.dropped.length < count) this.dropped = new Uint8Array(fields.kinds.length)
    const dropped = this.dropped
    // A few bytes: the loop is inlined, `fill` is a call.
    for (let i = 0; i < count; i++) dropped[i] = 0
    let host: string | undefined
    let length = -1
    let chunked = false
    let connection: string | undefined
    let upgrade: string | undefined
    for (let i = 0; i < count; i++) {
      const kind = kinds[i]!
      if (kind === OTHER || kind > TRAILER) {
        if (kind === PROXY_AUTHORIZATION) dropped[i] = 1
        continue
      }
      switch (kind) {
        case HOST:
          if (host !== undefined) return problems.host
          host = fields.value(i)
          dropped[i] = 1
          break
        case CONTENT_LENGTH:
          if (length >= 0) return problems.contentLength
          length = readContentLength(fields.value(i))
          if (length < 0) return problems.contentLength
          break
        case TRANSFER_ENCODING:
          if (chunked || !CHUNKED_WORD.test(fields.value(i))) return problems.transferEncoding
          chunked = true
          dropped[i] = 1
          break
        case CONNECTION:
          connection = connection === undefined ? fields.value(i) : `${connection},${fields.value(i)}`
          dropped[i] = 1
          break
        case UPGRADE:
          upgrade = fields.value(i)
          dropped[i] = 1
          break
        case EXPECT:
          if (fields.value(i).toLowerCase() === '100-continue') this.expectsContinue = true
          dropped[i] = 1
          break
        case KEEP_ALIVE:
        case PROXY_CONNECTION:
          if (kind === PROXY_CONNECTION && fields.value(i).toLowerCase() === 'close') this.closes = true
          dropped[i] = 1
          break
        case TE:
          // Only `trailers` may go on (RFC 9110 §10.1.4), and then it must be hop by hop again.
          dropped[i] = fields.value(i).toLowerCase() === 'trailers' ? 0 : 1
          break
      }
    }
    if (chunked) {
      if (length >= 0) return problems.smuggling
      this.framing = CHUNKED
    } else if (length > 0) {
      this.framing = LENGTH
      this.bodyLength = length
    }
    if (connection !== undefined) this.#readConnection(connection, upgrade)
    return this.#readTarget(host)
  }

  #readConnection(connection: string, upgrade: string | undefined): void {
    if (connection === 'keep-alive') return
    const fields = this.fields
    for (const option of connection.toLowerCase().split(',')) {
      const name = option.trim()
      if (name === 'close') this.closes = true
      else if (name === 'upgrade' && upgrade !== undefined) this.upgrade = upgrade.toLowerCase()
      else if (name !== '' && name !== 'keep-alive' && name !== 'te' && name !== 'content-length') {
        for (let i = 0; i < fields.count; i++) if (fields.nameIs(i, name)) this.dropped[i] = 1
      }
    }
    // A body before a switch of protocols is more than anyone needs, and two readings of where it ends.
    if (this.framing !== NO_BODY) this.upgrade = ''
  }

  #readTarget(host: string | undefined): HeadProblem | undefined {
    const target = this.target
    if (host === undefined) return problems.host
    if (target.charCodeAt(0) === 47) {
      // The string that is known from before, which is compared by its address from here on.
      this.authority = host === this.#goodAuthority ? this.#goodAuthority : host
      this.path = target
    } else if (this.method === 'CONNECT') {
      this.authority = target
      this.path = ''
      // Bytes that were meant for a tunnel may follow, and where there is none they must not be read as requests.
      this.closes = true
    } else if (target === '*' && this.method === 'OPTIONS') {
      this.authority = host
      this.path = '*'
    } else {
      // absolute-form: what a client sends to a proxy. Its authority replaces Host (RFC 9112 §3.2.2).
      const parts = /^(https?):\/\/([^/?#]*)(.*)/i.exec(target)
      if (!parts) return problems.target
      this.authority = parts[2]!
      const rest = parts[3]!
      this.path = rest.charCodeAt(0) === 47 ? rest : `/${rest}`
    }
    // A fragment never goes to a server; Envoy refuses it, because filters and applications read it differently.
    if (target.includes('#')) return problems.fragment
    // A client asks the same host again and again.
    if (this.authority === this.#goodAuthority) return undefined
    if (!isAuthority(this.authority)) return problems.host
    this.#goodAuthority = this.authority
    return undefined
  }
}

const kindsByName = new Map<string, number>()
for (const name of ['content-length', 'x-request-id', 'traceparent', 'tracestate', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-client-cert', 'user-agent', 'origin', 'x-envoy-attempt-count', 'x-envoy-peer-metadata-id']) kindsByName.set(name, kindOfName(name))
