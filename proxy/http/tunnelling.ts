import { countTryBegun } from '../upstream/count-try.ts'
import { pickHost } from '../upstream/pick-host.ts'
import type { Cluster } from '../upstream/cluster.ts'
import type { UpstreamHost } from '../upstream/host.ts'
import { answers } from './answer.ts'
import type { Exchange } from './exchange.ts'
import { upgradeLines } from './response-out.ts'
import type { HttpResponseHead } from './response-reader.ts'
import type { TunnelledUpstream } from './sides.ts'
import { TunnelUpstream } from './tunnel-upstream.ts'

/** A tunnel of CONNECT that ends here: what it carries goes to the cluster as it comes, once a connection stands. Undefined: the client was told that there is none. */
export function digTunnel(exchange: Exchange, cluster: Cluster, dug: (upstream: TunnelUpstream, host: UpstreamHost) => void): TunnelUpstream | undefined {
  const { engine, request, peer } = exchange
  if (cluster.connections >= cluster.plan.limits.connectionsMax) {
    exchange.overflow(cluster)
    return undefined
  }
  const host = pickHost(cluster, request, peer, undefined, undefined)
  if (host === undefined) {
    exchange.answerWith(answers.noHealthyUpstream)
    return undefined
  }
  exchange.attempts = 1
  exchange.host = host
  countTryBegun(host)
  const upstream = new TunnelUpstream(cluster, host, engine.doors.clock, peer, (problem) => {
    if (problem === '') return dug(upstream, host)
    exchange.upstreamFailure = problem
    cluster.record(host, 'connect-failure')
    exchange.answerWith(answers.connectFailure(problem))
  })
  return upstream
}

/** The exchange's two ends are joined: `head` is what switched protocols or granted a CONNECT, undefined where the proxy grants it itself. `over` runs when either end is gone, before the exchange is logged. */
export function joinTunnel(exchange: Exchange, tunnel: TunnelledUpstream, head: HttpResponseHead | undefined, over: () => void): void {
  exchange.status = head?.status ?? 200
  exchange.details = 'via_upstream'
  exchange.responseStarted = true
  // The sweep has no part in a tunnel: it has an idle limit of its own.
  exchange.engine.active.delete(exchange)
  exchange.connection.becomeTunnel(head, upgradeLines(exchange, head), tunnel, (sentBytes, receivedBytes) => {
    exchange.requestBytes += sentBytes
    exchange.responseBytes += receivedBytes
    over()
    exchange.finish()
  })
}
