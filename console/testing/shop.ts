import type { Topology, TopologyEdge, TopologyNode } from '#core/contract/topology.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import type { ProxyStatus, TypeStatus } from '#core/contract/proxy-status.ts'

/** A small shop as the control plane would report it. `wave` moves the rates, so that one second differs from the next. */
export function shopTopology(atMs: number, wave = 0): Topology {
  const drift = 1 + 0.08 * Math.sin(wave)
  const host = (name: string): string => `service/${name}.prod.svc.cluster.local`
  const edges: TopologyEdge[] = [
    edge('gateway/istio-ingress/gateway', host('web'), 'v3', 48 * drift, 0, 6.1, 31, 1),
    edge('workload/prod/client', host('order-service'), 'v1', 2.4 * drift, 0, 9, 44, 1),
    edge(host('web'), host('order-service'), 'v1', 21.6 * drift, 0, 8.2, 41, 1),
    edge(host('web'), host('order-service'), 'v2', 2.4 * drift, 0.021, 11, 96, 1),
    edge(host('web'), host('catalogue'), 'v1', 38 * drift, 0, 2.2, 9.4, 1),
    edge(host('order-service'), host('payment-service'), 'v1', 11 * drift, 0.083, 38, 1240, 1),
    edge(host('order-service'), host('inventory'), 'v1', 24 * drift, 0, 1.4, 6.8, 0.62),
    edge(host('payment-service'), 'external/api.bank.example', '', 10.4 * drift, 0, 120, 480, 0),
    edge(host('catalogue'), host('inventory'), 'v1', 12 * drift, 0, null, null, null),
    edge(host('order-service'), host('notification-service-with-a-long-name'), 'v1', 0.06, 0, 4, 7, 1),
  ]
  const nodes: TopologyNode[] = [
    node('gateway/istio-ingress/gateway', 'gateway', 'gateway', 'istio-ingress', []),
    node('workload/prod/client', 'workload', 'client', 'prod', []),
    node('external/api.bank.example', 'external', 'api.bank.example', '', []),
    ...[['web', 'v3', 3], ['catalogue', 'v1', 2], ['payment-service', 'v1', 2], ['inventory', 'v1', 2], ['notification-service-with-a-long-name', 'v1', 1]].map(([name, version, workloads]) =>
      node(host(String(name)), 'service', String(name), 'prod', [[String(version), Number(workloads)]])),
    node(host('order-service'), 'service', 'order-service', 'prod', [['v1', 3], ['v2', 1]]),
    node(host('reports'), 'service', 'reports', 'prod', [['v1', 1]]),
  ]
  return { atMs, windowMs: 10_000, revision: 42, nodes: nodes.map((one) => withInbound(one, edges)), edges }
}

function edge(from: string, to: string, version: string, requestsPerSecond: number, errorShare: number, p50Ms: number | null, p99Ms: number | null, mutualTlsShare: number | null): TopologyEdge {
  return { from, to, version, requestsPerSecond, errorShare, p50Ms, p99Ms, mutualTlsShare }
}

const silence = { requestsPerSecond: 0, errorShare: 0, p50Ms: null, p99Ms: null }

function node(id: string, kind: TopologyNode['kind'], name: string, namespace: string, versions: readonly [string, number][]): TopologyNode {
  return { id, kind, name, namespace, versions: versions.map(([version, workloads]) => ({ version, workloads, ...silence })), ...silence }
}

function withInbound(of: TopologyNode, edges: readonly TopologyEdge[]): TopologyNode {
  const inbound = edges.filter((one) => one.to === of.id)
  return { ...of, ...joined(inbound), versions: of.versions.map((version) => ({ ...version, ...joined(inbound.filter((one) => one.version === version.version)) })) }
}

function joined(edges: readonly TopologyEdge[]): typeof silence | Pick<TopologyNode, 'requestsPerSecond' | 'errorShare' | 'p50Ms' | 'p99Ms'> {
  const requestsPerSecond = edges.reduce((sum, one) => sum + one.requestsPerSecond, 0)
  if (requestsPerSecond === 0) return silence
  const times = (of: 'p50Ms' | 'p99Ms'): number | null => edges.reduce<number | null>((most, one) => (one[of] === null ? most : Math.max(most ?? 0, one[of])), null)
  return { requestsPerSecond, errorShare: edges.reduce((sum, one) => sum + one.requestsPerSecond * one.errorShare, 0) / requestsPerSecond, p50Ms: times('p50Ms'), p99Ms: times('p99Ms') }
}

const cluster = 'type.googleapis.com/envoy.config.cluster.v3.Cluster'
const endpoints = 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment'
const listener = 'type.googleapis.com/envoy.config.listener.v3.Listener'
const routes = 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration'
const secret = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret'

/** Proxies of the shop; `rejected`: payment's stock Envoy refuses a route configuration. */
export function shopProxies(nowMs: number, rejected: boolean): ProxyStatus[] {
  const names = [['gateway', 'istio-ingress', 'weft'], ['client', 'prod', 'weft'], ['web-v3', 'prod', 'weft'], ['order-v1', 'prod', 'weft'], ['order-v2', 'prod', 'weft'], ['catalogue-v1', 'prod', 'envoy'], ['payment-v1', 'prod', 'envoy'], ['inventory-v1', 'prod', 'weft']] as const
  return names.map(([name, namespace, engine], at) => {
    const refuses = rejected && name === 'payment-v1'
    const type = (url: string, state: TypeStatus['state'] = 'SYNCED', age = 95_000): TypeStatus => ({ type: url, state, sinceMs: nowMs - age, subscribed: 6, sentRevision: 42, ackedRevision: state === 'SYNCED' ? 42 : 40, rejection: undefined })
    const refused: TypeStatus = {
      ...type(routes, 'REJECTED', 14_000),
      rejection: { message: "Proto constraint validation failed (RouteConfigurationValidationError.VirtualHosts[0]: embedded message failed validation | caused by VirtualHostValidationError.Domains: value must contain at least 1 item(s))", revision: 42, resources: ['8080'], origins: ['VirtualService/prod/payment-service'], atMs: nowMs - 14_000 },
    }
    return {
      node: { id: `${name === 'gateway' ? 'router' : 'sidecar'}~10.0.0.${at + 1}~${name}.${namespace}~${namespace}.svc.cluster.local`, name, namespace, type: name === 'gateway' ? 'router' : 'sidecar', engine, version: engine === 'weft' ? '0.1.0' : '1.36.2', cluster: 'main' },
      identity: `spiffe://cluster.local/ns/${namespace}/sa/${name}`,
      connectedAtMs: nowMs - 3_600_000 * (at + 1),
      syncedRevision: refuses ? 40 : 42,
      viewRevision: 42,
      types: [type(cluster), type(endpoints), type(listener), refuses ? refused : name === 'order-v2' ? type(routes, 'STALE', 3000) : type(routes), ...(engine === 'envoy' ? [type(secret)] : [])],
    }
  })
}

export function shopObjects(): ResourceObject[] {
  const meta = (name: string, revision = '40'): ResourceObject['metadata'] => ({ name, namespace: 'prod', labels: { app: name }, uid: `0b7c-${name}`, resourceVersion: revision, generation: 3, creationTimestamp: '2026-01-12T08:15:00Z' })
  return [
    {
      apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: meta('order-service', '41'),
      spec: { hosts: ['order-service'], http: [{ name: 'canary', match: [{ headers: { 'x-canary': { exact: 'true' } } }], route: [{ destination: { host: 'order-service', subset: 'v2' } }] }, { route: [{ destination: { host: 'order-service', subset: 'v1' }, weight: 90 }, { destination: { host: 'order-service', subset: 'v2' }, weight: 10 }], timeout: '2s', retries: { attempts: 2, perTryTimeout: '500ms', retryOn: '5xx,reset' } }] },
    },
    { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: meta('payment-service', '42'), spec: { hosts: ['payment-service'], http: [{ match: [{ uri: { prefix: '/api/pay' } }], route: [{ destination: { host: 'payment-service' } }] }] } },
    { apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata: meta('order-service'), spec: { host: 'order-service.prod.svc.cluster.local', trafficPolicy: { outlierDetection: { consecutive5xxErrors: 5, interval: '10s' } }, subsets: [{ name: 'v1', labels: { version: 'v1' } }, { name: 'v2', labels: { version: 'v2' } }] } },
    { apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata: { ...meta('gateway'), namespace: 'istio-ingress' }, spec: { selector: { istio: 'ingress' }, servers: [{ port: { number: 443, name: 'https', protocol: 'HTTPS' }, hosts: ['shop.example'], tls: { mode: 'SIMPLE', credentialName: 'shop-cert' } }] } },
    { apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: meta('default'), spec: { mtls: { mode: 'STRICT' } } },
    { apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', metadata: meta('payment-authz'), spec: { selector: { matchLabels: { app: 'payment-service' } }, action: 'ALLOW', rules: [{ from: [{ source: { principals: ['cluster.local/ns/prod/sa/order-service'] } }], to: [{ operation: { methods: ['POST'], paths: ['/api/pay*'] } }] }] } },
    { apiVersion: 'v1', kind: 'Secret', metadata: { ...meta('shop-cert'), namespace: 'istio-ingress' }, type: 'kubernetes.io/tls', data: { 'tls.crt': 'KGhpZGRlbik=', 'tls.key': 'KGhpZGRlbik=' } },
    ...['web', 'catalogue', 'order-service', 'payment-service', 'inventory'].map((name): ResourceObject => ({ apiVersion: 'v1', kind: 'Service', metadata: meta(name), spec: { selector: { app: name }, ports: [{ name: 'http', port: 8080 }] } })),
  ]
}
