import { asGrpcHeaders, webForm } from '#core/route/grpc-web.ts'
import { CHUNKED, LENGTH } from '../http/body.ts'
import { GrpcWebCall } from '../http/grpc-web/call.ts'
import { ANSWERED, CONTINUE } from './filter.ts'
import type { HttpFilter } from './filter.ts'

/** Makes gRPC of gRPC-Web, where its route says so, or by default. What is no gRPC-Web passes as it is. */
export const grpcWeb = (byDefault: boolean): HttpFilter => (exchange) => {
  if (!(exchange.route?.grpcWeb ?? byDefault)) return CONTINUE
  const { request } = exchange
  const form = webForm(request.header('content-type'))
  if (form === undefined) return CONTINUE
  const { set, remove } = asGrpcHeaders(request)
  for (const name of remove) exchange.removeRequestHeader(name)
  for (const { name, value } of set) {
    exchange.removeRequestHeader(name)
    exchange.addRequestHeader(name, value)
  }
  if (request.framing === LENGTH) request.framing = CHUNKED
  return new GrpcWebCall(form, request.header('accept')).begin(exchange) ? CONTINUE : ANSWERED
}
