import type { ForwardAction, HeaderOperations } from '#core/plan/route.ts'
import { rewritePath } from '#core/route/rewrite.ts'
import { operationsOf, renderConditional, renderOperations } from '../filter/header-operations.ts'
import { renderFormat } from '../telemetry/format.ts'
import { CHUNKED, LENGTH, NO_BODY } from './body.ts'
import type { Exchange } from './exchange.ts'
import { ATTEMPT_COUNT, CLIENT_CERTIFICATE, FORWARDED_FOR, FORWARDED_PROTO, PEER_ID, REQUEST_ID, TRACEPARENT } from './field-kind.ts'
import type { Upstream } from './sides.ts'
import { dropByKind, dropByName, dropByOperations, keptLines, withoutLines } from './request-out.ts'

/** The head of a request as it goes upstream: what is the same for all its tries is joined once. */
export class RequestLines {
  readonly method: string
  readonly path: string
  readonly authority: string
  readonly scheme: string
  readonly framing: number
  readonly #upgrade: string
  readonly #lines: string
  readonly #tellsAttempts: boolean
  readonly #autoHost: boolean

  constructor(exchange: Exchange, action: ForwardAction) {
    const { request, stack, route, entry, engine } = exchange
    const { fields, dropped } = request
    const { plan, direction } = stack
    let authority = entry?.hostRewrite ?? action.hostRewrite ?? request.authority
    let added = exchange.requestFields
    const apply = (operations: HeaderOperations | undefined): void => {
      if (operations === undefined) return
      const compiled = operationsOf(operations)
      dropByOperations(fields, dropped, compiled)
      if (added !== '') for (const name of compiled.drops) added = withoutLines(added, name)
      added += renderOperations(compiled, exchange)
      if (compiled.conditional.length > 0) added += renderConditional(compiled, exchange, fields, dropped, added)
      if (compiled.authority !== undefined) authority = renderFormat(compiled.authority, exchange)
    }
    if (entry?.requestHeaders !== undefined) apply(entry.requestHeaders)
    if (route?.requestHeaders !== undefined) apply(route.requestHeaders)
    const remove = exchange.table?.requestHeadersToRemove
    if (remove !== undefined) for (const name of remove) dropByName(fields, dropped, name)

    // Who the client is.
    if (plan.useRemoteAddress) {
      const before = fields.findKind(FORWARDED_FOR)
      dropByKind(fields, dropped, FORWARDED_FOR)
      dropByKind(fields, dropped, FORWARDED_PROTO)
      added += `x-forwarded-for: ${before === undefined ? '' : `${before},`}${exchange.peer.address}\r\nx-forwarded-proto: ${request.scheme}\r\nx-envoy-external-address: ${request.remoteAddress ?? exchange.peer.address}\r\n`
    } else if (fields.findKind(FORWARDED_PROTO) === undefined) added += request.scheme === 'https' ? 'x-forwarded-proto: https\r\n' : 'x-forwarded-proto: http\r\n'
    added += clientCertificate(exchange)

    // Only a mesh peer may say who it is, and only to a mesh peer.
    dropByKind(fields, dropped, PEER_ID)
    if (direction !== 'inbound' && exchange.cluster?.securesPeers === true) added += engine.peerLines

    // A client of HTTP/2 has no key to prove (RFC 8441 §5), and a server of HTTP/1.1 wants one.
    if (request.upgrade === 'websocket' && fields.find('sec-websocket-key') === undefined) added += `sec-websocket-key: ${Buffer.from(engine.identifiers.uuid().replaceAll('-', ''), 'hex').toString('base64')}\r\n`
    if (fields.findKind(REQUEST_ID) === undefined) added += `x-request-id: ${exchange.requestId}\r\n`
    if (exchange.trace !== undefined && exchange.stack.plan.tracing?.keepsContext !== true) {
      dropByKind(fields, dropped, TRACEPARENT)
      added += `traceparent: ${exchange.trace.parentHeader}\r\n`
    }
    this.#tellsAttempts = direction !== 'inbound' && exchange.virtualHost?.includeAttemptCount !== false
    if (this.#tellsAttempts) dropByKind(fields, dropped, ATTEMPT_COUNT)

    let path = request.path
    if (action.prefixRewrite !== undefined || action.regexRewrite !== undefined) {
      path = rewritePath(action, request.path)
      if (path !== request.path) {
        dropByName(fields, dropped, 'x-envoy-original-path')
        added += `x-envoy-original-path: ${request.path}\r\n`
      }
    }
    this.method = request.method
    this.path = path
    this.#autoHost = action.autoHostRewrite
    if (this.#autoHost || authority !== request.authority) {
      dropByName(fields, dropped, 'x-envoy-original-host')
      added += `x-envoy-original-host: ${request.authority}\r\n`
    }
    this.authority = authority
    this.#lines = keptLines(fields, dropped) + added
    this.scheme = request.scheme
    this.framing = request.framing
    this.#upgrade = request.upgrade === 'h2c' ? '' : request.upgrade
  }

  /** Sends the head of the nth try. */
  send(upstream: Upstream, attempt: number, hostname: string): void {
    const authority = this.#autoHost && hostname !== '' ? hostname : this.authority
    const count = this.#tellsAttempts ? (attempt === 1 ? 'x-envoy-attempt-count: 1\r\n' : `x-envoy-attempt-count: ${attempt}\r\n`) : ''
    upstream.sendHead(this.method, this.scheme, authority, this.path, this.#lines + count, this.framing, this.#upgrade)
  }

  /** Sends the head of a mirrored copy: Envoy's `-shadow` behind the host name, before a port. A body of unknown length is whole by now, so the copy says its length. */
  sendShadow(upstream: Upstream, marksHost: boolean, bodyBytes: number): void {
    const colon = this.authority.lastIndexOf(':')
    const authority = !marksHost ? this.authority : colon > 0 && !this.authority.endsWith(']') ? `${this.authority.slice(0, colon)}-shadow${this.authority.slice(colon)}` : `${this.authority}-shadow`
    const length = this.framing === CHUNKED ? `content-length: ${bodyBytes}\r\n` : ''
    upstream.sendHead(this.method, this.scheme, authority, this.path, this.#lines + length, this.framing === NO_BODY ? NO_BODY : LENGTH, '')
  }
}

/** The `x-forwarded-client-cert` line to add, after the received one was dropped or not, by Envoy's forward_client_cert_details. */
function clientCertificate(exchange: Exchange): string {
  const { request, stack, connection } = exchange
  const mode = stack.plan.clientCertificateHeader
  const { fields, dropped } = request
  if (mode === 'forward-only') return ''
  const element = connection.clientCertificate
  const before = mode === 'append' && element !== '' ? fields.findKind(CLIENT_CERTIFICATE) : undefined
  dropByKind(fields, dropped, CLIENT_CERTIFICATE)
  if (mode === 'sanitize' || element === '') return ''
  return `x-forwarded-client-cert: ${before === undefined ? '' : `${before},`}${element}\r\n`
}
