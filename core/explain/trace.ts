import type { ClusterPlan } from '../plan/cluster.ts'
import type { EndpointPlan } from '../plan/endpoints.ts'
import type { PeerInfo, RequestHead } from '../route/request.ts'
import { type Caller, explainDeparture, healthyEndpoints, joined } from './client.ts'
import { explainReception, inboundListener } from './server.ts'
import type { TokenDoor } from './tokens.ts'
import type { PlanSet, Trail } from './trail.ts'

/** One request, and who sends it. */
export interface Question {
  /** The caller's proxy; undefined: the caller has none and speaks to the callee itself. */
  readonly client: PlanSet | undefined
  /** The callee's proxy; undefined: it has none, or only the caller's side is asked about. */
  readonly server: PlanSet | undefined
  /** Undefined: bytes that are no HTTP. */
  readonly request: RequestHead | undefined
  /** The port that the caller dials. */
  readonly port: number
  /** The caller's listener by name, where the port does not say which. */
  readonly listener?: string
  /** SPIFFE ID of the caller's workload; absent: it has none. */
  readonly identity?: string
  /** The caller's address. */
  readonly address?: string
  /** Where a captured connection goes: the address that the application dials. Absent: it speaks to its proxy itself. */
  readonly destination?: string
  /** The connection to the first proxy: a gateway, or the callee when `client` is undefined. Absent: plaintext. */
  readonly tls?: { readonly sni: string; readonly alpn: readonly string[]; readonly withIdentity: boolean }
  /** Where the callee's proxy is reached, when no endpoint of the caller's plan says it. */
  readonly at?: { readonly address: string; readonly port: number }
  /** Absent: tokens are not looked at. */
  readonly tokens?: TokenDoor
}

/**
 * One request's way through the caller's plan and the callee's, each decision a step with its origin. The functions that decide are those that serve traffic,
 * so this cannot tell another story than they do.
 */
export function explain(question: Question): Trail {
  const { client, server, request, port } = question
  const identity = question.tls?.withIdentity === true && question.identity !== undefined ? [question.identity] : []
  const at = question.at ?? { address: '', port }
  const tokens = question.tokens === undefined ? {} : { tokens: question.tokens }
  const near: Caller = { peer: peerOf(question, at, question.tls !== undefined, identity, question.tls?.sni ?? ''), alpn: question.tls?.alpn ?? [], ...(question.destination === undefined ? {} : { destination: question.destination }), ...tokens }
  if (client === undefined) {
    const direct: Trail = { outcome: 'routed', status: undefined, by: undefined, why: 'the caller has no proxy', steps: [], to: [], location: undefined, rewrite: undefined, mirrors: [], timeoutMs: undefined, retries: undefined }
    if (server === undefined) return direct
    return received(direct, server, request, { ...at, ...near })
  }
  const { request: sent, passed, ...departure } = explainDeparture(client, port, request, near, question.listener)
  if (server === undefined || departure.outcome !== 'routed') return departure
  const hop = findHop(client, server, departure)
  if (hop === undefined) return departure
  const transport = hop.cluster.transports.find(({ match }) => Object.entries(match).every(([name, value]) => hop.endpoint.transport[name] === value))
  const tls = transport?.tls
  const shown = tls?.certificate !== undefined && question.identity !== undefined ? [question.identity] : []
  const words = tls === undefined ? 'plaintext' : tls.certificate === undefined ? 'TLS' : 'mTLS'
  const steps = [...departure.steps, { side: 'client' as const, kind: 'transport' as const, words: `${words} to ${hop.endpoint.key}`, matched: true }]
  const peer = peerOf(question, hop.endpoint, tls !== undefined, shown, tls?.sni ?? '')
  return received({ ...departure, steps }, server, sent ?? request, { address: hop.endpoint.address, port: hop.endpoint.port, peer, alpn: saidTo(tls?.alpn ?? [], passed.chain?.serve.kind === 'http'), ...tokens })
}

/** Callers of the mesh say in ALPN that HTTP is inside: the callee may know it no other way. */
const saidTo = (alpn: readonly string[], http: boolean): readonly string[] => (http && alpn.includes('istio') ? ['istio-http/1.1', ...alpn] : alpn)

function received(trail: Trail, server: PlanSet, request: RequestHead | undefined, arriving: Parameters<typeof explainReception>[2]): Trail {
  const reception = explainReception(server, request, arriving)
  const requestHeaders = reception.requestHeaders === undefined ? {} : { requestHeaders: joined(trail.requestHeaders, reception.requestHeaders) }
  return { ...trail, ...reception.refused, ...requestHeaders, steps: [...trail.steps, ...reception.steps] }
}

function peerOf(question: Question, local: { readonly address: string; readonly port: number }, tls: boolean, uriSans: readonly string[], sni: string): PeerInfo {
  return { address: question.address ?? '', port: 0, localAddress: local.address, localPort: local.port, uriSans, dnsSans: [], sni, tls }
}

/** The endpoint behind which the callee's proxy stands: the first that one of its listeners is bound to, else the first at all. */
function findHop(client: PlanSet, server: PlanSet, departure: Trail): { cluster: ClusterPlan; endpoint: EndpointPlan } | undefined {
  const hops = departure.to.flatMap((target) => {
    const cluster = client.clusters.get(target.cluster)
    return cluster === undefined ? [] : healthyEndpoints(client, cluster).map((endpoint) => ({ cluster, endpoint }))
  })
  return hops.find(({ endpoint }) => inboundListener(server, endpoint)?.bind !== undefined) ?? hops[0]
}
