import type { Exchange } from '../http/exchange.ts'
import type { Destination, Source } from './metrics.ts'
import { noteCall } from './reports.ts'

/** Tells metrics, logs and the trace of an exchange that is over. `isCall`: it counts among requests; `overMutualTls`: upstream it went to a peer that proved who it is. */
export function account(exchange: Exchange, isCall: boolean, overMutualTls: boolean): void {
  const { engine, host, peer, request, stack } = exchange
  const inbound = stack.direction === 'inbound'
  if (!inbound && host !== undefined) noteCall(host.load, request, peer)
  if (isCall) {
    engine.metrics.request(inbound, sourceOf(exchange, overMutualTls), destinationOf(exchange), exchange.status, exchange.flags, exchange.grpcStatus, exchange.durationMs, exchange.requestBytes, exchange.responseBytes, stack.metricRules, exchange)
    accountMessages(exchange, overMutualTls)
  }
  for (const log of stack.logs) log.add(exchange)
  if (exchange.trace !== undefined) exchange.trace.finish(exchange)
}

/** Tells metrics of the messages of gRPC that they do not know of yet: calls may last for days, and count while they do. */
export function accountMessages(exchange: Exchange, overMutualTls: boolean): void {
  const { engine, messages, stack } = exchange
  if (messages === undefined) return
  const requests = messages.request.news()
  const responses = messages.response.news()
  if (requests === 0 && responses === 0) return
  engine.metrics.messages(stack.direction === 'inbound', sourceOf(exchange, overMutualTls), destinationOf(exchange), exchange.status, exchange.flags, exchange.grpcStatus, requests, responses, stack.metricRules, exchange)
}

function sourceOf({ engine: { metrics }, connection, request, stack }: Exchange, overMutualTls: boolean): Source {
  if (stack.direction === 'inbound') return connection.sourceOf(request)
  return overMutualTls ? metrics.selfSecured : metrics.self
}

function destinationOf({ engine, cluster, host, peer, stack }: Exchange): Destination {
  if (stack.direction === 'inbound') return (peer.uriSans.length > 0 ? cluster?.selfSecured : cluster?.selfDestination) ?? engine.metrics.unknownDestination
  return host?.destination ?? cluster?.destination ?? engine.metrics.unknownDestination
}
