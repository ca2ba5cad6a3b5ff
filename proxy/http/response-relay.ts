import type { Exchange } from './exchange.ts'
import { statusInTrailers } from './grpc.ts'
import { responseLines } from './response-out.ts'
import type { HttpResponseHead } from './response-reader.ts'

/** An endpoint's answer on its way to the client, piece by piece: as it is, or as the client of gRPC-Web reads it. */

/** From here on the answer cannot be taken back, and nothing is tried again. */
export function relayHead(exchange: Exchange, head: HttpResponseHead): void {
  exchange.responseHead = head
  exchange.status = head.status
  if (exchange.details === '') exchange.details = 'via_upstream'
  exchange.responseStarted = true
  if (exchange.grpcWeb === undefined) exchange.connection.sendHead(head.status, head.statusText, responseLines(exchange, head), head.framing)
  else exchange.grpcWeb.sendHead(exchange, head)
}

export function relayBody(exchange: Exchange, bytes: Buffer, start: number, end: number): void {
  exchange.messages?.response.read(bytes, start, end)
  if (exchange.grpcWeb !== undefined) return exchange.grpcWeb.sendBody(exchange, bytes, start, end)
  exchange.responseBytes += end - start
  exchange.connection.sendBody(bytes, start, end)
}

/** `trailers`: lines with their CRLFs. */
export function relayEnd(exchange: Exchange, trailers: string): void {
  if (exchange.grpcWeb === undefined) exchange.connection.sendEnd(trailers)
  else exchange.grpcWeb.sendEnd(exchange, trailers)
  if (!exchange.isGrpc || trailers === '') return
  const status = statusInTrailers(trailers)
  if (status >= 0) exchange.grpcStatus = status
}
