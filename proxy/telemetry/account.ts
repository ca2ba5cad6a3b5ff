import type { Exchange } from '../http/exchange.ts'
import { noteCall } from './reports.ts'

/** Tells metrics, logs and the trace of an exchange that is over. `isCall`: it counts among requests; `overMutualTls`: upstream it went to a peer that proved who it is. */
export function account(exchange: Exchange, isCall: boolean, overMutualTls: boolean): void {
  const { engine, cluster, host, peer, request, stack } = exchange
  const { metrics } = engine
  const inbound = stack.direction === 'inbound'
  if (!inbound && host !== undefined) noteCall(host.load, request, peer)
  if (isCall) {
    const source = inbound ? exchange.connection.sourceOf(request) : overMutualTls ? metrics.selfSecured : metrics.self
    const destination = (inbound ? (peer.uriSans.length > 0 ? cluster?.selfSecured : cluster?.selfDestination) : (host?.destination ?? cluster?.destination)) ?? metrics.unknownDestination
    metrics.request(inbound, source, destination, exchange.status, exchange.flags, exchange.grpcStatus, exchange.durationMs, exchange.requestBytes, exchange.responseBytes, stack.metricRules, exchange)
  }
  for (const log of stack.logs) log.add(exchange)
  if (exchange.trace !== undefined) exchange.trace.finish(exchange)
}
