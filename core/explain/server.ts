import type { ListenerPlan } from '../plan/listener.ts'
import { selectChain } from '../route/chain.ts'
import type { HeaderOperations } from '../plan/route.ts'
import type { PeerInfo, RequestHead } from '../route/request.ts'
import { normalizePath } from '../route/normalize.ts'
import { explainGrpcWeb, explainPolicies, forwarded, httpPolicies, misfitOf, spoken, withHead } from './client.ts'
import type { Origin } from '../plan/origin.ts'
import { explainTokens, type TokenDoor } from './tokens.ts'
import type { Outcome, PlanSet, Step } from './trail.ts'

/** How a connection arrives at the callee. */
export interface Arriving {
  readonly address: string
  readonly port: number
  readonly peer: PeerInfo
  readonly alpn: readonly string[]
  /** Absent: tokens are not looked at. */
  readonly tokens?: TokenDoor
}

export interface Reception {
  /** Undefined: the application answers. */
  readonly refused: { readonly outcome: Outcome; readonly status: number | undefined; readonly by: Origin | undefined; readonly why: string } | undefined
  readonly steps: readonly Step[]
  /** What becomes of the request's headers. */
  readonly requestHeaders?: HeaderOperations
}

/** The callee's side: listener → chain → is the transport right → every policy → application. */
export function explainReception(plans: PlanSet, request: RequestHead | undefined, arriving: Arriving): Reception {
  const steps: Step[] = []
  const step = (kind: Step['kind'], words: string, matched: boolean) => steps.push({ side: 'server', kind, words, matched })
  const refuse = (why: string): Reception => ({ refused: { outcome: 'refused', status: undefined, by: undefined, why }, steps })

  const listener = inboundListener(plans, arriving)
  if (listener === undefined) {
    step('listener', `nothing listens at ${arriving.address}:${arriving.port}`, false)
    return refuse(`the callee has no listener for port ${arriving.port}`)
  }
  step('listener', `listener ${listener.name}`, true)
  const { peer } = arriving
  const chain = selectChain(listener, { destinationPort: arriving.port, serverName: peer.sni, transportProtocol: peer.tls ? 'tls' : 'raw_buffer', applicationProtocols: spoken(listener, peer, arriving.alpn, request) })
  if (chain === undefined) {
    step('chain', `no filter chain takes a ${peer.tls ? 'TLS' : 'plaintext'} connection`, false)
    return refuse(peer.tls ? 'no filter chain takes TLS' : 'the callee takes mTLS only')
  }
  step('chain', `chain ${chain.name}`, true)
  const misfit = misfitOf(chain, peer, request)
  if (misfit !== undefined) {
    step('transport', misfit, false)
    return refuse(chain.tls !== undefined && !peer.tls ? 'the callee takes mTLS only' : misfit)
  }
  step('transport', peer.tls ? `mTLS as ${peer.uriSans[0] ?? 'nobody'}` : 'plaintext', true)

  const { serve } = chain
  const ofConnection = explainPolicies(chain.rbac, undefined, peer, 'server', steps)
  let head = request
  if (ofConnection === undefined && serve.kind === 'http' && request !== undefined) {
    const path = normalizePath(request.path, { normalize: serve.normalizePath, mergeSlashes: serve.mergeSlashes, escapedSlashes: serve.escapedSlashes })
    if (path === undefined) return { refused: { outcome: 'refused', status: 400, by: undefined, why: 'the path is malformed' }, steps }
    if (typeof path !== 'string') return { refused: { outcome: 'redirect', status: 307, by: undefined, why: 'the path has escaped slashes' }, steps }
    const tokens = arriving.tokens === undefined ? undefined : explainTokens(serve, withHead(request, { path }), arriving.tokens, 'server', steps)
    if (tokens !== undefined && 'why' in tokens) return { refused: { outcome: 'refused', status: tokens.status, by: undefined, why: tokens.why }, steps }
    head = withHead(request, { path, ...tokens, ...forwarded(serve, request) })
  }
  const denied = ofConnection ?? (serve.kind === 'http' ? explainPolicies(httpPolicies(serve), head, peer, 'server', steps) : undefined)
  if (denied !== undefined) return { refused: { outcome: denied.outcome, status: denied.status, by: denied.by, why: denied.why }, steps }
  const requestHeaders = serve.kind === 'http' && head !== undefined ? explainGrpcWeb(serve, undefined, head, 'server', steps) : undefined
  step('application', 'the application answers', true)
  return { refused: undefined, steps, ...(requestHeaders === undefined ? {} : { requestHeaders }) }
}

/** The one bound to the endpoint; else one for the port on any address; else the one that takes all captured traffic. */
export function inboundListener(plans: PlanSet, at: { readonly address: string; readonly port: number }): ListenerPlan | undefined {
  const inbound = [...plans.listeners.values()].filter((one) => one.direction !== 'outbound')
  const ofPort = inbound.filter((one) => one.bind?.port === at.port)
  const anywhere = at.address.includes(':') ? '::' : '0.0.0.0'
  const binds = (one: ListenerPlan, address: string): boolean => one.bind?.address === address || one.further?.some((more) => more.address === address) === true
  return (
    ofPort.find((one) => binds(one, at.address)) ??
    ofPort.find((one) => binds(one, anywhere)) ??
    inbound.find((one) => one.usesOriginalDestination === true || one.bind === undefined)
  )
}
