import type { HeaderOperations } from '#core/plan/route.ts'
import { operationsOf, renderConditional, renderOperations } from '../filter/header-operations.ts'
import type { Answer } from './answer.ts'
import type { Exchange } from './exchange.ts'
import { CONTENT_LENGTH, DATE, PEER_ID, SERVER, UPSTREAM_SERVICE_TIME } from './field-kind.ts'
import { dropByKind, dropByName, dropByOperations, keptLines } from './request-out.ts'
import type { FieldTable } from './head-scan.ts'
import type { HttpResponseHead } from './response-reader.ts'

/** The lines of an upstream's head as the client gets them, but for those of its connection. */
export function responseLines(exchange: Exchange, head: HttpResponseHead): string {
  const { fields, dropped } = head
  const { route, entry, stack, engine } = exchange
  let added = exchange.responseFields
  const apply = (operations: HeaderOperations | undefined): void => {
    if (operations === undefined) return
    const compiled = operationsOf(operations)
    dropByOperations(fields, dropped, compiled)
    added += renderOperations(compiled, exchange)
    if (compiled.conditional.length > 0) added += renderConditional(compiled, exchange, fields, dropped, added)
  }
  if (entry?.responseHeaders !== undefined) apply(entry.responseHeaders)
  if (route?.responseHeaders !== undefined) apply(route.responseHeaders)
  if (exchange.responseFields !== '' && route?.cors !== undefined) dropByName(fields, dropped, 'access-control-allow-origin')
  let dated = false
  const { kinds, count } = fields
  for (let i = 0; i < count; i++) {
    const kind = kinds[i]
    if (kind === DATE) dated = true
    else if (kind === PEER_ID) dropMetadata(fields, dropped)
    else if (kind === UPSTREAM_SERVICE_TIME || (kind === SERVER && stack.serverName !== '')) dropped[i] = 1
  }
  if (stack.serverName !== '') added += `server: ${stack.serverName}\r\n`
  // To a proxy that said who it is, and to nobody else (Istio's metadata exchange).
  if (stack.direction === 'inbound') {
    if (exchange.peer.tls && exchange.request.fields.findKind(PEER_ID) !== undefined) added += engine.peerLines
  } else added += `x-envoy-upstream-service-time: ${exchange.upstreamServiceMs}\r\n`
  if (!dated) added += engine.dateLine
  if (head.lacksLength && exchange.connection.protocol === 'HTTP/1.1') added += 'content-length: 0\r\n'
  return keptLines(fields, dropped) + added
}

/** What a mesh peer says of itself is for its peer alone. */
function dropMetadata(fields: FieldTable, dropped: Uint8Array): void {
  dropByKind(fields, dropped, PEER_ID)
  dropByName(fields, dropped, 'x-envoy-peer-metadata')
}

/** The same of a 101, or of a CONNECT that is granted, by the proxy itself where there is no head. */
export function upgradeLines(exchange: Exchange, head: HttpResponseHead | undefined): string {
  if (head === undefined) return `${exchange.engine.dateLine}server: ${exchange.stack.serverName === '' ? 'weft' : exchange.stack.serverName}\r\n`
  const { fields, dropped } = head
  if (exchange.stack.serverName !== '') dropByKind(fields, dropped, SERVER)
  // It would say nothing (RFC 9110 §9.3.6), and to some readers that there is a body.
  if (head.status !== 101) dropByKind(fields, dropped, CONTENT_LENGTH)
  const server = exchange.stack.serverName === '' ? '' : `server: ${exchange.stack.serverName}\r\n`
  return keptLines(fields, dropped) + server
}

const NOTHING_DROPPED = new Uint8Array(0)

/** The lines of an answer of our own. */
export function answerLines(exchange: Exchange, answer: Answer): string {
  const { engine, route, stack } = exchange
  const bodiless = answer.status === 204 || answer.status === 304
  let lines = answer.fields + exchange.responseFields
  if (route?.responseHeaders !== undefined) {
    const compiled = operationsOf(route.responseHeaders)
    lines += renderOperations(compiled, exchange)
    if (compiled.conditional.length > 0) lines += renderConditional(compiled, exchange, undefined, NOTHING_DROPPED, lines)
  }
  // Over HTTP/2 the end says that there is no body, and gRPC's answers have no length.
  if (!bodiless && (answer.body.length > 0 || !exchange.overHttp2)) lines += `content-length: ${answer.body.length}\r\n`
  if (answer.body.length > 0 && !/^content-type:/im.test(lines)) lines += 'content-type: text/plain\r\n'
  return `${lines}${engine.dateLine}server: ${stack.serverName === '' ? 'weft' : stack.serverName}\r\n`
}
