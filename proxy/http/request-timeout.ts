import type { ForwardAction } from '#core/plan/route.ts'
import type { Exchange } from './exchange.ts'
import { grpcTimeoutMs } from './grpc.ts'

/** How long the whole answer to a request may take by its route, or by the caller of gRPC where the route lets it say (envoy.config.route.v3.RouteAction.MaxStreamDuration); 0: as long as it likes. */
export function timeoutOf(exchange: Exchange, action: ForwardAction): number {
  const maxMs = action.grpcTimeoutMaxMs
  if (maxMs === undefined || !exchange.isGrpc) return action.timeoutMs
  const saidMs = grpcTimeoutMs(exchange.request.fields.find('grpc-timeout')) ?? 0
  return maxMs > 0 && (saidMs === 0 || saidMs > maxMs) ? maxMs : saidMs
}
