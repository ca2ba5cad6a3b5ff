import assert from 'node:assert/strict'
import test from 'node:test'
import type { DescMessage, JsonObject } from '@bufbuild/protobuf'
import type { Read } from '../plan/read.ts'
import { readCluster } from '../plan/read-cluster.ts'
import { readEndpoints } from '../plan/read-endpoints.ts'
import { readListener } from '../plan/read-listener.ts'
import { readRoute } from '../plan/read-route.ts'
import { readScope } from '../plan/read-scope.ts'
import { requestFrom } from '../route/request.ts'
import { encodeCanonical } from '../wire/encode.ts'
import { ClusterSchema } from '../wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterLoadAssignmentSchema } from '../wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { ListenerSchema } from '../wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from '../wire/gen/envoy/config/route/v3/route_pb.ts'
import { ScopedRouteConfigurationSchema } from '../wire/gen/envoy/config/route/v3/scoped_route_pb.ts'
import { messageFromJson } from '../wire/registry.ts'
import { explain, type Question } from './trace.ts'
import type { PlanSet } from './trail.ts'

function plan<T>(schema: DescMessage, read: (bytes: Uint8Array, version: string) => Read<T>, json: JsonObject): T {
  const result = read(encodeCanonical(schema, messageFromJson(schema, json)), 'v1')
  assert.ok(result.ok, result.ok ? '' : JSON.stringify(result.faults))
  return result.plan
}

const type = (name: string): string => `type.googleapis.com/envoy.extensions.${name}`
const router: JsonObject = { name: 'router', typed_config: { '@type': type('filters.http.router.v3.Router') } }
const manager = (fields: JsonObject): JsonObject => ({ name: 'hcm', typed_config: { '@type': type('filters.network.http_connection_manager.v3.HttpConnectionManager'), stat_prefix: 's', http_filters: [router], normalize_path: true, ...fields } })
const at = (address: string, port: number): JsonObject => ({ socket_address: { address, port_value: port } })
const set = (key: string, value: string): JsonObject => ({ append: { header: { key, value }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' } })
const sds = (name: string): JsonObject => ({ name, sds_config: { ads: {} } })
const commonTls: JsonObject = { tls_certificate_sds_secret_configs: [sds('default')], validation_context_sds_secret_config: sds('ROOTCA'), alpn_protocols: ['istio'] }

const outbound = plan(ListenerSchema, readListener, {
  name: 'outbound_proxy',
  address: at('127.0.0.1', 15001),
  traffic_direction: 'OUTBOUND',
  filter_chains: [
    {
      filters: [
        manager({
          http_filters: [{ name: 'weft.fallback', typed_config: { '@type': type('filters.http.lua.v3.Lua') } }, router],
          scoped_routes: {
            name: 'weft',
            rds_config_source: { ads: {} },
            scoped_rds: { scoped_rds_config_source: { ads: {} } },
            scope_key_builder: { fragments: [{ header_value_extractor: { name: 'x-weft-port', index: 0 } }, { header_value_extractor: { name: 'x-weft-scope', index: 0 } }] },
          },
          early_header_mutation_extensions: [
            { name: 'm', typed_config: { '@type': type('http.early_header_mutation.header_mutation.v3.HeaderMutation'), mutations: [set('x-weft-scope', '%REQ(:AUTHORITY)%'), set('x-weft-port', 'proxy')] } },
          ],
        }),
      ],
    },
  ],
})

const clusterName = (subset: string) => `outbound|8080|${subset}|order-service.prod.svc.cluster.local`
const origin = (field: string): JsonObject => ({ filter_metadata: { weft: { resource: 'VirtualService/prod/order-service', field } } })
const routes = plan(RouteConfigurationSchema, readRoute, {
  name: 'orders',
  virtual_hosts: [
    {
      name: 'order-service.prod.svc.cluster.local:8080',
      domains: ['*'],
      routes: [
        { name: 'old', match: { path: '/old' }, metadata: origin('http[0]'), redirect: { path_redirect: '/orders' } },
        { name: 'canary', match: { prefix: '/', headers: [{ name: 'x-canary', string_match: { exact: 'true' } }] }, metadata: origin('http[1]'), route: { cluster: clusterName('v2'), prefix_rewrite: '/new/', timeout: '3s' } },
        { name: 'rest', match: { prefix: '/orders' }, metadata: origin('http[2]'), route: { weighted_clusters: { clusters: [{ name: clusterName('v1'), weight: 90 }, { name: clusterName('v2'), weight: 10 }] } } },
      ],
    },
  ],
})
const fallback = plan(RouteConfigurationSchema, readRoute, { name: 'fallback', virtual_hosts: [{ name: 'block_all', domains: ['*'], routes: [{ name: 'block_all', match: { prefix: '/' }, direct_response: { status: 502 } }] }] })
const scope = (host: string, table: string) => plan(ScopedRouteConfigurationSchema, readScope, { name: `proxy|${host}`, route_configuration_name: table, key: { fragments: [{ string_key: 'proxy' }, { string_key: host }] } })
const cluster = (subset: string) =>
  plan(ClusterSchema, readCluster, {
    name: clusterName(subset),
    type: 'EDS',
    eds_cluster_config: { eds_config: { ads: {} } },
    transport_socket_matches: [
      { name: 'mtls', match: { tlsMode: 'istio' }, transport_socket: { name: 'tls', typed_config: { '@type': type('transport_sockets.tls.v3.UpstreamTlsContext'), common_tls_context: commonTls } } },
      { name: 'plain', match: {} },
    ],
  })
const endpoints = (subset: string, mutual: boolean) =>
  plan(ClusterLoadAssignmentSchema, readEndpoints, {
    cluster_name: clusterName(subset),
    endpoints: [{ lb_endpoints: [{ endpoint: { address: at('127.0.1.2', 15006) }, ...(mutual ? { metadata: { filter_metadata: { 'envoy.transport_socket_match': { tlsMode: 'istio' } } } } : {}) }] }],
  })

const scopes = [scope('order-service:8080', 'orders'), scope('*', 'fallback')]
const client = (mutual = true): PlanSet => ({
  listeners: new Map([[outbound.name, outbound]]),
  scopes: new Map(scopes.map((one) => [one.key, one])),
  tables: new Map([routes, fallback].map((one) => [one.name, one])),
  clusters: new Map(['v1', 'v2'].map((subset) => [clusterName(subset), cluster(subset)])),
  endpoints: new Map(['v1', 'v2'].map((subset) => [clusterName(subset), endpoints(subset, mutual)])),
})

const inbound = plan(ListenerSchema, readListener, {
  name: 'inbound_8080',
  address: at('127.0.1.2', 15006),
  traffic_direction: 'INBOUND',
  filter_chains: [
    {
      name: 'mtls',
      filter_chain_match: { transport_protocol: 'tls' },
      transport_socket: { name: 'tls', typed_config: { '@type': type('transport_sockets.tls.v3.DownstreamTlsContext'), require_client_certificate: true, common_tls_context: commonTls } },
      filters: [
        manager({
          route_config: { name: 'in', virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'inbound|8080||' } }] }] },
          http_filters: [
            {
              name: 'rbac',
              typed_config: {
                '@type': type('filters.http.rbac.v3.RBAC'),
                rules: {
                  policies: {
                    'ns[prod]-policy[order-authz]-rule[0]': {
                      permissions: [{ header: { name: ':method', string_match: { exact: 'GET' } } }],
                      principals: [{ authenticated: { principal_name: { exact: 'spiffe://cluster.local/ns/prod/sa/client' } } }],
                    },
                  },
                },
              },
            },
            router,
          ],
        }),
      ],
    },
  ],
})
const server: PlanSet = { listeners: new Map([[inbound.name, inbound]]), scopes: new Map(), tables: new Map(), clusters: new Map(), endpoints: new Map() }

const ask = (request: Parameters<typeof requestFrom>[0], more: Partial<Question> = {}) =>
  explain({ client: client(), server, request: requestFrom(request), port: 8080, identity: 'spiffe://cluster.local/ns/prod/sa/client', ...more })

test('a request is followed from listener to application, and weights are shares of 100', () => {
  const trail = ask({ authority: 'order-service:8080', path: '/orders' })
  assert.equal(trail.outcome, 'routed')
  assert.deepEqual(trail.to.map((one) => [one.host, one.subset, one.port, one.weight]), [
    ['order-service.prod.svc.cluster.local', 'v1', 8080, 90],
    ['order-service.prod.svc.cluster.local', 'v2', 8080, 10],
  ])
  assert.deepEqual(trail.by, { resource: 'VirtualService/prod/order-service', field: 'http[2]', revision: 0 })
  assert.deepEqual(
    trail.steps.filter((step) => step.kind === 'route').map((step) => [step.words, step.matched, step.origin?.field]),
    [
      ['old: path exact "/old"', false, 'http[0]'],
      ['canary: path prefix "/" and header "x-canary" exact "true"', false, 'http[1]'],
      ['rest: path prefix "/orders"', true, 'http[2]'],
    ],
  )
  assert.deepEqual(trail.steps.filter((step) => step.side === 'server').map((step) => step.kind), ['listener', 'chain', 'transport', 'policy', 'application'])
})

test('a header leads elsewhere, with the path as it goes upstream', () => {
  const trail = ask({ authority: 'order-service:8080', path: '/x', headers: { 'x-canary': 'true' } })
  assert.deepEqual([trail.to.map((one) => one.subset), trail.rewrite, trail.timeoutMs, trail.retries], [['v2'], { path: '/new/x' }, 3_000, 0])
})

test('redirects, unknown paths and unknown hosts have outcomes of their own', () => {
  const redirect = ask({ authority: 'order-service:8080', path: '/old' })
  assert.deepEqual([redirect.outcome, redirect.status, redirect.location], ['redirect', 301, 'http://order-service:8080/orders'])
  const missing = ask({ authority: 'order-service:8080', path: '/nowhere' })
  assert.deepEqual([missing.outcome, missing.status], ['not-found', 404])
  const unknown = ask({ authority: 'elsewhere.com' })
  assert.deepEqual([unknown.outcome, unknown.status], ['direct-response', 502])
  assert.ok(unknown.steps.some((step) => step.words === 'no scope proxy|elsewhere.com, so proxy|*'))
})

test('a policy of the callee that refuses is named', () => {
  const trail = ask({ method: 'POST', authority: 'order-service:8080', path: '/orders' })
  assert.deepEqual([trail.outcome, trail.status, trail.by?.resource], ['refused', 403, 'AuthorizationPolicy/prod/order-authz'])
  assert.match(trail.steps.at(-1)?.words ?? '', /^denied: no ALLOW rule holds: .* the request is not header ":method" exact "GET"/)
})

test('plaintext is refused where mTLS is required', () => {
  const trail = ask({ authority: 'order-service:8080', path: '/orders' }, { client: client(false) })
  assert.deepEqual([trail.outcome, trail.status], ['refused', undefined])
  assert.equal(trail.why, 'the callee takes mTLS only')
})

test('a caller without a proxy is judged by the callee alone', () => {
  const trail = explain({ client: undefined, server, request: requestFrom({ authority: 'x' }), port: 15006, at: { address: '127.0.1.2', port: 15006 } })
  assert.equal(trail.outcome, 'refused')
})

test('a cluster without endpoints is a 503 that says so', () => {
  const trail = ask({ authority: 'order-service:8080', path: '/orders' }, { client: { ...client(), endpoints: new Map() } })
  assert.deepEqual([trail.outcome, trail.status], ['routed', 503])
})
