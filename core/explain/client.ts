import { authorize, NO_POLICY_MATCHED } from '../authz/authorize.ts'
import type { ClusterPlan } from '../plan/cluster.ts'
import type { EndpointPlan } from '../plan/endpoints.ts'
import type { HttpPlan } from '../plan/http.ts'
import type { FilterChainPlan, ListenerPlan } from '../plan/listener.ts'
import type { Origin } from '../plan/origin.ts'
import type {
  ForwardAction,
  HeaderOperations,
  Route,
  RouteTable,
  VirtualHost,
  WeightedClusters,
} from '../plan/route.ts'
import { selectChain } from '../route/chain.ts'
import { clientAddress, clientScheme } from '../route/forwarded.ts'
import { redirectLocation } from '../route/redirect.ts'
import type { PeerInfo, RequestHead } from '../route/request.ts'
import { rewritePath } from '../route/rewrite.ts'
import { asGrpcHeaders, translatesGrpcWeb, webForm } from '../route/grpc-web.ts'
import { findScope, scopeKey } from '../route/scope.ts'
import { findVirtualHost, selectRoute } from '../route/select.ts'
import { normalizePath } from '../route/normalize.ts'
import { explainTokens, type TokenDoor } from './tokens.ts'
import type { PlanSet, Step, Target, Trail } from './trail.ts'

/** A connection and what is known of its other end. */
export interface Caller {
  readonly peer: PeerInfo
  readonly alpn: readonly string[]
  /** Where a captured connection goes; absent: the proxy is spoken to by itself. */
  readonly destination?: string
  /** Absent: tokens are not looked at. */
  readonly tokens?: TokenDoor
}

/** Where the caller's proxy sends the request, or how it answers itself. */
export interface Departure extends Trail {
  /** What leaves towards each target; undefined when nothing does. */
  readonly request: RequestHead | undefined
  /** What was passed on the way, as far as it went. */
  readonly passed: { readonly listener?: ListenerPlan; readonly chain?: FilterChainPlan; readonly table?: RouteTable; readonly host?: VirtualHost; readonly route?: Route }
}

type Ending = Pick<Trail, 'outcome' | 'why'> & Partial<Departure>

/** The caller's side: listener → chain → policies → scope → virtual host → every route tried → clusters → endpoints. Without a request: bytes that are no HTTP. */
export function explainDeparture(plans: PlanSet, port: number, request: RequestHead | undefined, caller: Caller, named?: string): Departure {
  const steps: Step[] = []
  const passed: { listener?: ListenerPlan; chain?: FilterChainPlan; table?: RouteTable; host?: VirtualHost; route?: Route } = {}
  const end = (ending: Ending): Departure => ({
    status: undefined, by: undefined, steps, to: [], location: undefined, rewrite: undefined, mirrors: [], timeoutMs: undefined, retries: undefined, request: undefined, passed, ...ending,
  })
  const step = (kind: Step['kind'], words: string, matched: boolean, origin?: Origin) => steps.push({ side: 'client', kind, words, matched, ...(origin === undefined ? {} : { origin }) })

  const listener = findListener(plans, port, caller.destination, named)
  if (listener === undefined) {
    step('listener', `nothing listens for port ${port}`, false)
    return end({ outcome: 'refused', why: `no listener for port ${port}` })
  }
  passed.listener = listener
  step('listener', `listener ${listener.name}`, true)
  const chain = chainOf(listener, port, caller, request)
  if (chain === undefined) {
    step('chain', `no filter chain of ${listener.name} takes this connection`, false)
    return end({ outcome: 'refused', why: 'no filter chain matches' })
  }
  passed.chain = chain
  const misfit = misfitOf(chain, caller.peer, request)
  if (misfit !== undefined) {
    step('chain', `chain ${chain.name}: ${misfit}`, false)
    return end({ outcome: 'refused', why: misfit })
  }
  step('chain', `chain ${chain.name}`, true)
  const ofConnection = explainPolicies(chain.rbac, undefined, caller.peer, 'client', steps)
  if (ofConnection !== undefined) return end(ofConnection)
  if (chain.serve.kind === 'tcp') {
    const clusters = chain.serve.clusterBySni === true ? namedBySni(plans, caller.peer.sni) : chain.serve.clusters
    if (clusters === undefined) {
      step('cluster', `no cluster is called ${JSON.stringify(caller.peer.sni)}, as the connection's server name asks`, false)
      return end({ outcome: 'refused', why: `no service of the mesh has the server name ${JSON.stringify(caller.peer.sni)}` })
    }
    const to = targetsOf(plans, clusters, step)
    return end({ outcome: isNowhere(to) ? 'blocked' : 'routed', why: `TCP to ${describe(to)}`, to })
  }

  const http = chain.serve
  if (request === undefined) throw new Error('bytes that are no HTTP have passed as HTTP')
  // Envoy and the bundled proxy answer it before anything else is looked at.
  if (request.authority === '') return end({ outcome: 'not-found', status: 400, why: 'the request names no host' })
  const path = normalizePath(request.path, { normalize: http.normalizePath, mergeSlashes: http.mergeSlashes, escapedSlashes: http.escapedSlashes })
  if (path === undefined) return end({ outcome: 'refused', status: 400, why: 'the path is malformed' })
  if (typeof path !== 'string') return end({ outcome: 'redirect', status: 307, location: path.redirect, why: 'the path has escaped slashes' })
  const tokens = caller.tokens === undefined ? undefined : explainTokens(http, withHead(request, { path }), caller.tokens, 'client', steps)
  if (tokens !== undefined && 'why' in tokens) return end({ outcome: 'refused', ...tokens })
  const head = withHead(request, { path, ...tokens, ...forwarded(http, request) })
  const denied = explainPolicies(httpPolicies(http), head, caller.peer, 'client', steps)
  if (denied !== undefined) return end(denied)

  const table = findTable(plans, http, head, step)
  if (table === undefined) return end({ outcome: 'not-found', status: 404, why: 'no route table for this host' })
  passed.table = table
  const host = findVirtualHost(table, head.authority)
  if (host === undefined) {
    step('virtual-host', `no virtual host of ${table.name} has ${head.authority}`, false)
    return end({ outcome: 'not-found', status: 404, why: `no virtual host for ${head.authority}` })
  }
  passed.host = host
  step('virtual-host', `virtual host ${host.name} of ${table.name}`, true)
  if (host.requireTls && head.scheme === 'http') {
    return end({ outcome: 'https-redirect', status: 301, location: `https://${head.authority}${head.path}`, why: `virtual host ${host.name} requires TLS` })
  }
  const route = selectRoute(host, head, (tried, matched) => step('route', `${tried.name === '' ? 'route' : tried.name}: ${tried.words}`, matched, tried.origin))
  passed.route = route
  if (route === undefined) return end({ outcome: 'not-found', status: 404, why: `no route of ${host.name} matches` })
  const ending = explainRoute(plans, host, route, head, step)
  const requestHeaders = joined(explainGrpcWeb(http, route, head, 'client', steps), ending.requestHeaders)
  return end({ ...ending, ...(ending.requestHeaders === undefined ? {} : { requestHeaders }) })
}

/** Whether a request itself says where such a cluster leads. */
const goesByItself = (cluster: ClusterPlan | undefined): boolean => cluster?.discovery === 'original-destination' || cluster?.discovery === 'by-host'

function explainRoute(plans: PlanSet, host: VirtualHost, route: Route, request: RequestHead, step: (kind: Step['kind'], words: string, matched: boolean, origin?: Origin) => void): Ending {
  const { action, origin: by } = route
  switch (action.kind) {
    case 'redirect': {
      const location = redirectLocation(action, request)
      return { outcome: 'redirect', status: action.status, by, location, why: `redirected to ${location}` }
    }
    case 'direct': {
      // Istio's name of what unknown hosts are answered by when the mesh lets nothing out.
      const blocked = route.name === 'block_all' || host.name === 'block_all'
      return { outcome: 'direct-response', status: action.status, by, why: blocked ? `answered with ${action.status}: unknown hosts are not let out` : `answered with ${action.status}` }
    }
    case 'forward': {
      const to = targetsOf(plans, action.clusters, step)
      const sent = rewritten(action, request)
      const empty = to.every((target) => !goesByItself(plans.clusters.get(target.cluster)) && target.endpoints.length === 0)
      return {
        outcome: isNowhere(to) ? 'blocked' : 'routed',
        status: empty ? (to.every((target) => !plans.clusters.has(target.cluster)) ? (action.noClusterStatus ?? 503) : 503) : undefined,
        by,
        why: empty ? `${describe(to)} has no healthy endpoint` : `routed to ${describe(to)}`,
        to,
        rewrite: sent === request ? undefined : { ...(sent.path === request.path ? {} : { path: sent.path }), ...(sent.authority === request.authority ? {} : { authority: sent.authority }) },
        mirrors: action.mirrors.map(({ cluster, percent }) => ({ cluster, percent })),
        timeoutMs: action.timeoutMs,
        retries: action.retry?.retriesMax ?? 0,
        requestHeaders: joined(route.requestHeaders, action.clusters.entries.length === 1 ? action.clusters.entries[0]?.requestHeaders : undefined),
        request: sent,
      }
    }
  }
}

/** What becomes of the headers of a call of gRPC-Web where it is translated; undefined: nothing. */
export function explainGrpcWeb(http: HttpPlan, route: Route | undefined, request: RequestHead, side: Step['side'], steps: Step[]): HeaderOperations | undefined {
  if (!translatesGrpcWeb(http, route) || webForm(request.header('content-type')) === undefined) return undefined
  steps.push({ side, kind: 'transport', words: 'gRPC-Web goes on as gRPC', matched: true })
  return asGrpcHeaders(request)
}

export const joined = (a: HeaderOperations | undefined, b: HeaderOperations | undefined): HeaderOperations => ({
  set: [...(a?.set ?? []), ...(b?.set ?? [])],
  add: [...(a?.add ?? []), ...(b?.add ?? [])],
  remove: [...(a?.remove ?? []), ...(b?.remove ?? [])],
})

/**
 * By name; a captured connection: the one for its very destination, else for its port at any address, else the one that takes all. Of a proxy that is spoken to: the one bound
 * to the port, the one whose scopes are the port's, the one for explicit proxying; else one that is not bound at all.
 */
function findListener(plans: PlanSet, port: number, destination: string | undefined, named: string | undefined): ListenerPlan | undefined {
  if (named !== undefined) return plans.listeners.get(named)
  const out = [...plans.listeners.values()].filter((one) => one.direction !== 'inbound')
  if (destination !== undefined) {
    const ofPort = out.filter((one) => one.address?.port === port)
    const isFor = (one: ListenerPlan, address: string): boolean => one.address?.address === address || one.further?.some((more) => more.address === address) === true
    const anywhere = destination.includes(':') ? '::' : '0.0.0.0'
    // What captures inbound connections listens at any address too, and connections for its port are handed to it.
    const captor = plans.listeners.get('virtualInbound')
    const ofCaptor = captor?.address?.port === port ? captor : undefined
    return ofPort.find((one) => isFor(one, destination)) ?? ofPort.find((one) => isFor(one, anywhere)) ?? ofCaptor ?? out.find((one) => one.usesOriginalDestination === true)
  }
  const scopePort = (one: ListenerPlan): string | undefined => {
    const serve = (one.chains[0] ?? one.defaultChain)?.serve
    return serve?.kind === 'http' && serve.routes.kind === 'scoped' ? serve.routes.port : undefined
  }
  return (
    out.find((one) => one.bind?.port === port) ?? out.find((one) => scopePort(one) === String(port)) ?? out.find((one) => scopePort(one) === 'proxy') ?? out.find((one) => one.bind === undefined)
  )
}

function chainOf(listener: ListenerPlan, port: number, caller: Caller, request: RequestHead | undefined): FilterChainPlan | undefined {
  const { peer, alpn, destination } = caller
  return selectChain(listener, {
    destinationPort: port,
    ...(destination === undefined ? {} : { destinationAddress: destination }),
    serverName: peer.sni,
    transportProtocol: peer.tls ? 'tls' : 'raw_buffer',
    applicationProtocols: spoken(listener, peer, alpn, request),
  })
}

/** The application protocols that inspectors find: what TLS offers, or what plain bytes turn out to be. */
export function spoken(listener: ListenerPlan, peer: PeerInfo, alpn: readonly string[], request: RequestHead | undefined): readonly string[] {
  if (peer.tls || alpn.length > 0) return alpn
  return listener.inspectsHttp === true && request !== undefined ? ['http/1.1'] : []
}

/** Why a chain cannot serve a connection that it took; undefined: it can. */
export function misfitOf(chain: FilterChainPlan, peer: PeerInfo, request: RequestHead | undefined): string | undefined {
  const http = chain.serve.kind === 'http'
  if (chain.tls !== undefined && !peer.tls) return 'TLS is expected, and plaintext came'
  if (chain.tls === undefined && peer.tls && http) return 'plaintext is expected, and TLS came'
  if (chain.tls?.requireClientCertificate === true && peer.uriSans.length + peer.dnsSans.length === 0) return 'a client certificate is required'
  const { allowedSans = [] } = chain.tls ?? {}
  if (allowedSans.length > 0 && ![...peer.uriSans, ...peer.dnsSans].some((san) => allowedSans.some((allowed) => allowed.matches(san)))) return `the certificate bears none of ${allowedSans.map((one) => one.words).join(', ')}`
  return http && request === undefined ? 'HTTP is expected, and something else came' : undefined
}

function findTable(plans: PlanSet, http: HttpPlan, request: RequestHead, step: (kind: Step['kind'], words: string, matched: boolean) => void): RouteTable | undefined {
  const { routes } = http
  if (routes.kind === 'inline') return routes.table
  if (routes.kind === 'named') return plans.tables.get(routes.name)
  const scope = findScope(plans.scopes, routes, request)
  const key = scopeKey(routes, request)
  step('scope', scope === undefined ? `no scope ${key}` : scope.key === key ? `scope ${key}` : `no scope ${key}, so ${scope.key}`, scope !== undefined)
  return scope && plans.tables.get(scope.table)
}

/** Endpoints are looked up as they were told; ejections are a running proxy's own. */
function targetsOf(plans: PlanSet, clusters: WeightedClusters, step: (kind: Step['kind'], words: string, matched: boolean, origin?: Origin) => void): Target[] {
  return clusters.entries.map(({ cluster: name, weight, origin }) => {
    const cluster = plans.clusters.get(name)
    const share = clusters.total === 0 ? 100 : (100 * weight) / clusters.total
    step('cluster', `${name}, ${Number(share.toFixed(2))} %${cluster === undefined ? ', which is not known' : ''}`, cluster !== undefined, origin ?? cluster?.origin)
    const endpoints = cluster === undefined ? [] : healthyEndpoints(plans, cluster).map((endpoint) => endpoint.key)
    if (cluster !== undefined && !goesByItself(cluster)) step('endpoint', endpoints.length === 0 ? `${name} has no healthy endpoint` : endpoints.join(', '), endpoints.length > 0)
    const { host, subset, port } = cluster?.destination ?? destinationIn(name)
    return { cluster: name, host, subset, port, weight: share, ...(origin === undefined ? {} : { origin }), endpoints }
  })
}

/** Between networks a connection's server name is that of a cluster. */
const namedBySni = (plans: PlanSet, sni: string): WeightedClusters | undefined => (plans.clusters.has(sni) ? { entries: [{ cluster: sni, weight: 1, origin: undefined, requestHeaders: undefined, responseHeaders: undefined }], cumulative: [1], total: 1 } : undefined)

/** What a cluster by its name stands for: `outbound|8080|v1|order-service.prod.svc.cluster.local`, or the form of that for server names, `outbound_.8080_.v1_.HOST`. */
function destinationIn(name: string): { host: string; subset: string; port: number } {
  const [, port = '0', subset = '', host = ''] = name.split(name.includes('|') ? '|' : '_.')
  return { host, subset, port: Number(port) }
}

export function healthyEndpoints(plans: PlanSet, cluster: ClusterPlan): EndpointPlan[] {
  const endpoints = cluster.inlineEndpoints ?? plans.endpoints.get(cluster.endpointsName)
  return endpoints?.localities.flatMap((one) => one.endpoints).filter((one) => one.health === 'healthy') ?? []
}

const isNowhere = (to: readonly Target[]): boolean => to.length > 0 && to.every((target) => target.cluster === 'BlackHoleCluster')

const describe = (to: readonly Target[]): string => to.map((target) => target.cluster).join(', ')

function rewritten(action: ForwardAction, request: RequestHead): RequestHead {
  const path = rewritePath(action, request.path)
  const authority = action.hostRewrite ?? request.authority
  return path === request.path && authority === request.authority ? request : withHead(request, { path, authority })
}

export function withHead(request: RequestHead, change: { path?: string; authority?: string; scheme?: RequestHead['scheme']; remoteAddress?: string; claims?: RequestHead['claims'] }): RequestHead {
  const claims = change.claims ?? request.claims
  const remoteAddress = change.remoteAddress ?? request.remoteAddress
  return {
    method: request.method,
    authority: change.authority ?? request.authority,
    path: change.path ?? request.path,
    scheme: change.scheme ?? request.scheme,
    header: (name) => request.header(name),
    ...(remoteAddress === undefined ? {} : { remoteAddress }),
    ...(claims === undefined ? {} : { claims }),
  }
}

/** What proxies in front tell of the client, where they are believed. */
export function forwarded({ trustedHops, useRemoteAddress }: HttpPlan, request: RequestHead): { scheme?: RequestHead['scheme']; remoteAddress?: string } {
  const scheme = clientScheme(request.header('x-forwarded-proto'), trustedHops, useRemoteAddress)
  const remoteAddress = clientAddress(request.header('x-forwarded-for'), trustedHops, useRemoteAddress)
  return { ...(scheme === undefined ? {} : { scheme }), ...(remoteAddress === undefined ? {} : { remoteAddress }) }
}

export function httpPolicies(http: HttpPlan) {
  return http.filters.flatMap((filter) => (filter.kind === 'rbac' ? [filter.policy] : []))
}

/** Every policy tried becomes a step; the ending when one refuses. */
export function explainPolicies(policies: Parameters<typeof authorize>[0], request: RequestHead | undefined, peer: PeerInfo, side: Step['side'], steps: Step[]): Ending | undefined {
  const misses: string[] = []
  const decision = authorize(policies, request, peer, (filter, policy, permission, principal) => {
    const words = `${filter.shadow ? 'dry-run ' : ''}${filter.action} ${policy.name}: ${permission ? '' : 'not '}${policy.permission.words}; ${principal ? '' : 'not '}${policy.principal.words}`
    steps.push({ side, kind: 'policy', words, matched: permission && principal, ...(policy.origin === undefined ? {} : { origin: policy.origin }) })
    if (filter.action === 'allow' && !filter.shadow && !(permission && principal)) {
      const failed = [...(permission ? [] : [`the request is not ${policy.permission.words}`]), ...(principal ? [] : [`the caller, ${callerWords(peer)}, is not ${policy.principal.words}`])]
      misses.push(`${policy.name}: ${failed.join(' and ')}`)
    }
  })
  if (decision.allowed) return undefined
  const why = decision.policy === NO_POLICY_MATCHED ? (misses.length === 0 ? decision.why : `no ALLOW rule holds: ${misses.join('; ')}`) : `${decision.policy}: ${decision.why}`
  steps.push({ side, kind: 'policy', words: `denied: ${why}`, matched: true, ...(decision.origin === undefined ? {} : { origin: decision.origin }) })
  return { outcome: 'refused', status: request === undefined ? undefined : 403, by: decision.origin, why }
}

const callerWords = (peer: PeerInfo): string => peer.uriSans[0] ?? (peer.address === '' ? 'without an identity' : `${peer.address} without an identity`)
