import type { ForwardAction } from '#core/plan/route.ts'
import { redirectLocation } from '#core/route/redirect.ts'
import { pickCluster } from '#core/route/split.ts'
import { answers } from './answer.ts'
import { NO_BODY } from './body.ts'
import type { Exchange } from './exchange.ts'
import { Forwarding } from './forwarding.ts'

/** Does what the exchange's route says, after all filters: redirects, answers, or forwards to one of its clusters (envoy.config.route.v3.Route.action). */
export function runRouteAction(exchange: Exchange): void {
  const { virtualHost, route, request } = exchange
  if (virtualHost?.requireTls === true && request.scheme === 'http') {
    return exchange.answerWith(answers.redirect(301, `https://${request.authority}${request.path}`, 'tls_required'))
  }
  if (route === undefined) return exchange.answerWith(answers.noRoute)
  const { action } = route
  switch (action.kind) {
    case 'redirect':
      return exchange.answerWith(answers.redirect(action.status, redirectLocation(action, request), 'direct_response'))
    case 'direct':
      return exchange.answerWith(answers.direct(action.status, action.body))
    case 'forward':
      return forward(exchange, action)
  }
}

function forward(exchange: Exchange, action: ForwardAction): void {
  const { engine } = exchange
  const connects = exchange.request.method === 'CONNECT'
  exchange.endsTunnel = connects && action.endsTunnels === true
  if ((connects && !mayTunnel(exchange, action)) || !mayUpgrade(exchange)) return exchange.answerWith(answers.upgradeRefused)
  const entry = pickCluster(action.clusters, engine.doors.random.draw())
  exchange.entry = entry
  const cluster = engine.cluster(entry.cluster)
  if (cluster === undefined) return exchange.answerWith(answers.noCluster(action.noClusterStatus ?? 503))
  exchange.cluster = cluster
  if (cluster.requests >= cluster.plan.limits.requestsMax) return exchange.overflow(cluster)
  const forwarding = new Forwarding(exchange, action, cluster)
  exchange.forwarding = forwarding
  forwarding.begin()
}

/** A CONNECT names an authority and nothing else, and what stands before a tunnel is no body (RFC 9110 §9.3.6). */
const mayTunnel = ({ stack, request }: Exchange, action: ForwardAction): boolean => (action.connects ?? stack.plan.connects === true) && request.path === '' && request.framing === NO_BODY

/** Bytes of any other protocol would pass by every policy. An offer of h2c is not passed on, and the request is served without. */
function mayUpgrade({ request, overHttp2 }: Exchange): boolean {
  const { upgrade } = request
  return upgrade === '' || upgrade === 'websocket' || (upgrade === 'h2c' && !overHttp2)
}
