import type { HeaderOperations } from '#core/plan/plan.ts'
import { operationsOf, renderOperations } from '../filter/header-operations.ts'
import { reasonOf } from './answer.ts'
import type { Answer } from './answer.ts'
import type { Exchange } from './exchange.ts'
import { DATE, SERVER, UPSTREAM_SERVICE_TIME } from './field-kind.ts'
import { dropByKind, dropByName, dropByOperations, keptLines } from './request-out.ts'
import type { HttpResponseHead } from './response-reader.ts'

/** An upstream's head as the client gets it. */
export function responseHeadText(exchange: Exchange, head: HttpResponseHead, chunked: boolean): string {
  const { fields, dropped } = head
  const { route, entry, stack, engine } = exchange
  let added = exchange.responseFields
  const apply = (operations: HeaderOperations | undefined): void => {
    if (operations === undefined) return
    const compiled = operationsOf(operations)
    dropByOperations(fields, dropped, compiled)
    added += renderOperations(compiled, exchange)
  }
  if (entry?.responseHeaders !== undefined) apply(entry.responseHeaders)
  if (route?.responseHeaders !== undefined) apply(route.responseHeaders)
  if (exchange.responseFields !== '' && route?.cors !== undefined) dropByName(fields, dropped, 'access-control-allow-origin')
  let dated = false
  const { kinds, count } = fields
  for (let i = 0; i < count; i++) {
    const kind = kinds[i]
    if (kind === DATE) dated = true
    else if (kind === UPSTREAM_SERVICE_TIME || (kind === SERVER && stack.serverName !== '')) dropped[i] = 1
  }
  if (stack.serverName !== '') added += `server: ${stack.serverName}\r\n`
  if (stack.direction !== 'inbound') added += `x-envoy-upstream-service-time: ${exchange.upstreamServiceMs}\r\n`
  if (!dated) added += engine.dateLine
  if (chunked) added += 'transfer-encoding: chunked\r\n'
  if (exchange.connection.closesAfter(exchange)) added += 'connection: close\r\n'
  return `HTTP/1.1${fields.text.slice(fields.firstEnd, fields.startLineEnd)}${keptLines(fields, dropped)}${added}\r\n`
}

/** A 101: the tunnel's head. */
export function upgradeText(exchange: Exchange, head: HttpResponseHead): string {
  const { fields, dropped } = head
  if (exchange.stack.serverName !== '') dropByKind(fields, dropped, SERVER)
  const server = exchange.stack.serverName === '' ? '' : `server: ${exchange.stack.serverName}\r\n`
  return `HTTP/1.1 101 Switching Protocols\r\n${keptLines(fields, dropped)}${server}connection: upgrade\r\nupgrade: ${head.upgrade === '' ? exchange.request.upgrade : head.upgrade}\r\n\r\n`
}

/** An answer of our own, body included. */
export function answerText(exchange: Exchange, answer: Answer, closes: boolean): string {
  const { engine, request, route, stack } = exchange
  const bodiless = answer.status === 204 || answer.status === 304
  let lines = answer.fields + exchange.responseFields
  if (route?.responseHeaders !== undefined) lines += renderOperations(operationsOf(route.responseHeaders), exchange)
  if (!bodiless) lines += `content-length: ${answer.body.length}\r\n`
  if (answer.body.length > 0 && !/^content-type:/im.test(lines)) lines += 'content-type: text/plain\r\n'
  lines += `${engine.dateLine}server: ${stack.serverName === '' ? 'weft' : stack.serverName}\r\n`
  if (closes || exchange.connection.closesAfter(exchange)) lines += 'connection: close\r\n'
  return `HTTP/1.1 ${answer.status} ${reasonOf(answer.status)}\r\n${lines}\r\n${request.method === 'HEAD' || bodiless ? '' : answer.body}`
}
