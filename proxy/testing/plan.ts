import type { BucketPlan, LocalRateLimitPlan } from '#core/plan/local-rate-limit.ts'
import type { ClusterPlan } from '#core/plan/cluster.ts'
import type { EndpointPlan } from '#core/plan/endpoints.ts'
import type { HttpPlan } from '#core/plan/http.ts'
import type { FilterChainPlan, ListenerPlan, TcpPlan } from '#core/plan/listener.ts'
import type { ForwardAction, Route, RouteTable, VirtualHost, WeightedCluster } from '#core/plan/route.ts'
import { weighted } from '#core/route/split.ts'
import { pathOnly } from '#core/route/request.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { PlanSource, SecretSource } from '../sources.ts'

/** Plans by hand, for tests of the data path: what core/plan would compile, without the wire. */

export const testNode: ProxyNode = {
  id: 'sidecar~127.0.0.1~client-v1.prod~prod.svc.cluster.local',
  type: 'sidecar',
  address: '127.0.0.1',
  name: 'client-v1',
  namespace: 'prod',
  serviceAccount: 'client',
  labels: { app: 'client', version: 'v1' },
  cluster: 'c1',
  network: '',
  locality: '',
  engine: 'weft',
  version: 'test',
  outbound: undefined,
  ports: [],
  gatewayPorts: new Map(),
  gatewayAddress: '127.0.0.1',
  otlp: '',
}

export class TestPlans implements PlanSource {
  readonly listeners = new Map<string, ListenerPlan>()
  readonly scopes = new Map()
  readonly tables = new Map<string, RouteTable>()
  readonly clusters = new Map<string, ClusterPlan>()
  readonly endpoints = new Map()
  revision = 42
}

export const noSecrets: SecretSource = { serverContext: () => undefined, clientContext: () => undefined, onChange() {} }

export function endpointPlan(port: number, over: Partial<EndpointPlan> = {}): EndpointPlan {
  const address = over.address ?? '127.0.0.1'
  return { key: `${address}:${port}`, address, port, weight: 1, health: 'healthy', hostname: '', transport: {}, workload: undefined, ...over }
}

export function clusterPlan(name: string, endpoints: readonly EndpointPlan[], over: Partial<ClusterPlan> = {}): ClusterPlan {
  return {
    name,
    version: '1',
    origin: undefined,
    discovery: 'static',
    endpointsName: name,
    inlineEndpoints: { name, version: '1', localities: [{ locality: '', weight: 1, priority: 0, endpoints }] },
    connectTimeoutMs: 2000,
    balancer: 'least-request',
    choiceCount: 2,
    limits: { connectionsMax: 1024, pendingMax: 1024, requestsMax: 1024, retriesMax: 3 },
    outlier: undefined,
    transports: [{ name: 'plain', match: {}, tls: undefined }],
    protocol: 'http1',
    requestsPerConnectionMax: 0,
    idleTimeoutMs: 3_600_000,
    panicThresholdPercent: 0,
    destination: { host: `${name}.prod.svc.cluster.local`, name, namespace: 'prod', subset: '', port: 8080 },
    ...over,
  }
}

export const toClusters = (...names: (string | WeightedCluster)[]): ForwardAction['clusters'] =>
  weighted(names.map((one) => (typeof one === 'string' ? { cluster: one, weight: 1, origin: undefined, requestHeaders: undefined, responseHeaders: undefined } : one)))

export function forward(cluster: string, over: Partial<ForwardAction> = {}): ForwardAction {
  return {
    kind: 'forward',
    clusters: toClusters(cluster),
    timeoutMs: 0,
    idleTimeoutMs: undefined,
    retry: undefined,
    mirrors: [],
    prefixRewrite: undefined,
    regexRewrite: undefined,
    hostRewrite: undefined,
    autoHostRewrite: false,
    hash: [],
    ...over,
  }
}

export function routePlan(prefix: string, action: Route['action'], over: Partial<Route> = {}): Route {
  return {
    name: prefix,
    origin: undefined,
    words: `prefix ${prefix}`,
    matches: (request) => pathOnly(request.path).startsWith(prefix),
    action,
    requestHeaders: undefined,
    responseHeaders: undefined,
    fault: undefined,
    cors: undefined,
    operation: `test${prefix}`,
    ...over,
  }
}

export function tablePlan(routes: readonly Route[], over: Partial<VirtualHost> = {}): RouteTable {
  return { name: 'routes', version: '1', exact: new Map(), suffixes: [], prefixes: [], any: { name: 'all', routes, requireTls: false, ...over }, ignorePort: false, requestHeadersToRemove: [] }
}

export function httpPlan(table: RouteTable, over: Partial<HttpPlan> = {}): HttpPlan {
  return {
    kind: 'http',
    statPrefix: 'test',
    routes: { kind: 'inline', table },
    filters: [],
    clientCertificateHeader: 'sanitize',
    serverName: 'weft',
    useRemoteAddress: false,
    trustedHops: 0,
    normalizePath: true,
    mergeSlashes: false,
    escapedSlashes: 'keep',
    stripPort: false,
    idleTimeoutMs: 3_600_000,
    streamIdleTimeoutMs: 0,
    headersTimeoutMs: 0,
    drainTimeoutMs: 5000,
    headerBytesMax: 60 * 1024,
    tracing: undefined,
    accessLog: [],
    ...over,
  }
}

export function chainPlan(serve: HttpPlan | TcpPlan, over: Partial<FilterChainPlan> = {}): FilterChainPlan {
  return { name: 'chain', match: { destinationPort: undefined, serverNames: [], transportProtocol: '', applicationProtocols: [] }, tls: undefined, rbac: [], serve, ...over }
}

export function listenerPlan(name: string, chains: readonly FilterChainPlan[], over: Partial<ListenerPlan> = {}): ListenerPlan {
  return { name, version: '1', direction: 'outbound', bind: { address: '127.0.0.1', port: 0 }, inspectsTls: false, chains, defaultChain: undefined, ...over }
}


/** A limit that counts all requests, and refuses what is too many. */
export const limitOf = (bucket: BucketPlan, over: Partial<LocalRateLimitPlan> = {}): LocalRateLimitPlan => ({
  bucket,
  descriptors: [],
  bucketsMax: 20,
  actions: undefined,
  stage: 0,
  virtualHost: 'override',
  alwaysTakesDefault: true,
  perConnection: false,
  enabledPercent: 100,
  enforcedPercent: 100,
  status: 429,
  asResourceExhausted: false,
  responseHeaders: undefined,
  requestHeaders: undefined,
  tellsQuota: false,
  ...over,
})
