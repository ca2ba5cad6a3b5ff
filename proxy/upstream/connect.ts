import type { PeerInfo } from '#core/route/request.ts'
import type { Clock } from '#core/time/clock.ts'
import { dialPlain, dialTls } from '../http/socket.ts'
import type { Wire, WireHandler } from '../http/socket.ts'
import type { Cluster } from './cluster.ts'
import type { UpstreamHost } from './host.ts'
import { keepAlive } from './keep-alive.ts'
import { writeProxyHeader } from '../tcp/proxy-header.ts'
import { judgeServer } from './judge-server.ts'

/**
 * Dials an endpoint for a connection that is not pooled. `settled` gets an empty string when the connection stands and the server is whom the plan demands,
 * else what is wrong; refusals by the network come as the handler's `onClosed`. Undefined: a certificate that is needed is not there.
 */
export function dialHost(cluster: Cluster, host: UpstreamHost, handler: WireHandler, clock: Clock, client: PeerInfo, settled: (problem: string) => void): Wire | undefined {
  const { tls, plan } = host
  const done = (problem: string): void => {
    timer.cancel()
    keepAlive(wire.socket, cluster.plan)
    settled(problem)
  }
  const { proxyHeader } = cluster.plan
  const first = proxyHeader === undefined ? undefined : writeProxyHeader(proxyHeader, { source: client, destination: { address: client.localAddress, port: client.localPort } })
  let wire: Wire
  if (tls === undefined) wire = dialPlain(plan.address, plan.port, handler, first, () => done(''), plan.further)
  else {
    const context = cluster.secrets.clientContext(tls)
    if (context === undefined) return undefined
    wire = dialTls(plan.address, plan.port, { context, serverName: tls.sni, alpn: tls.alpn, first }, handler, (socket) => done(judgeServer(socket, tls)), plan.further)
  }
  const timer = clock.after(cluster.plan.connectTimeoutMs, () => wire.destroy())
  return wire
}
