import assert from 'node:assert/strict'
import test from 'node:test'
import type { JsonObject } from '@bufbuild/protobuf'
import { encodeCanonical } from '../wire/encode.ts'
import { ClusterSchema } from '../wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterLoadAssignmentSchema } from '../wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { ScopedRouteConfigurationSchema } from '../wire/gen/envoy/config/route/v3/scoped_route_pb.ts'
import { SecretSchema } from '../wire/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import { messageFromJson } from '../wire/registry.ts'
import type { ClusterPlan } from './cluster.ts'
import type { EndpointsPlan } from './endpoints.ts'
import type { Read } from './read.ts'
import { readCluster } from './read-cluster.ts'
import { readEndpoints } from './read-endpoints.ts'
import { readScope } from './read-scope.ts'
import { readSecret } from './read-secret.ts'

const read = (json: JsonObject): Read<ClusterPlan> => readCluster(encodeCanonical(ClusterSchema, messageFromJson(ClusterSchema, json)), 'v1')
const readAssignment = (json: JsonObject): Read<EndpointsPlan> => readEndpoints(encodeCanonical(ClusterLoadAssignmentSchema, messageFromJson(ClusterLoadAssignmentSchema, json)), 'v1')

function good<T>(result: Read<T>): T {
  assert.ok(result.ok, result.ok ? '' : JSON.stringify(result.faults))
  return result.plan
}

function faults(result: Read<unknown>): string[] {
  assert.ok(!result.ok)
  return result.faults.map((fault) => `${fault.code} ${fault.path}`)
}

const eds: JsonObject = { type: 'EDS', eds_cluster_config: { eds_config: { ads: {} } } }
const name = 'outbound|8080|v1|order-service.prod.svc.cluster.local'
const sds = (secret: string): JsonObject => ({ name: secret, sds_config: { ads: {} } })

test('a cluster whose metadata says so offers HTTP/2 to mesh peers, and to nobody else', () => {
  const tls = (alpn: string[]): JsonObject => ({
    name: 'envoy.transport_sockets.tls',
    typed_config: { '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', common_tls_context: { alpn_protocols: alpn, tls_certificate_sds_secret_configs: [sds('default')], validation_context_sds_secret_config: sds('ROOTCA') } },
  })
  const matches = [{ name: 'mesh', match: { tlsMode: 'istio' }, transport_socket: tls(['istio']) }, { name: 'outside', match: { tlsMode: 'simple' }, transport_socket: tls(['http/1.1']) }]
  const plan = good(read({ name, ...eds, transport_socket_matches: matches, metadata: { filter_metadata: { weft: { multiplex: true } } } }))
  assert.equal(plan.protocol, 'alpn')
  assert.deepEqual(plan.transports.map((one) => one.tls?.alpn), [['istio', 'h2', 'http/1.1'], ['http/1.1'], undefined])
  assert.equal(good(read({ name, ...eds, transport_socket_matches: matches })).protocol, 'http1')
  const auto = { '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions', auto_config: { http2_protocol_options: {} } }
  assert.equal(good(read({ name, ...eds, transport_socket: tls(['h2', 'http/1.1']), typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': auto } })).protocol, 'alpn')
})

test('a cluster as the control plane sends it: mTLS where the endpoint says so, plaintext elsewhere', () => {
  const plan = good(
    read({
      name,
      ...eds,
      connect_timeout: '10s',
      lb_policy: 'LEAST_REQUEST',
      circuit_breakers: { thresholds: [{ max_connections: 4294967295, max_requests: 7, track_remaining: true }] },
      metadata: {
        filter_metadata: {
          weft: { resource: 'DestinationRule/prod/order-service', field: 'subsets[0]', revision: 42 },
          istio: { services: [{ host: 'order-service.prod.svc.cluster.local', name: 'order-service', namespace: 'prod' }], subset: 'v1', default_original_port: 8080 },
        },
      },
      transport_socket_matches: [
        {
          name: 'tlsMode-istio',
          match: { tlsMode: 'istio' },
          transport_socket: {
            name: 'tls',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
              sni: 'outbound_.8080_.v1_.order-service.prod.svc.cluster.local',
              common_tls_context: {
                alpn_protocols: ['istio', 'h2'],
                tls_params: { tls_minimum_protocol_version: 'TLSv1_2', tls_maximum_protocol_version: 'TLSv1_3' },
                tls_certificate_sds_secret_configs: [sds('default')],
                combined_validation_context: {
                  default_validation_context: { match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: 'spiffe://cluster.local/ns/prod/sa/order-service' } }] },
                  validation_context_sds_secret_config: sds('ROOTCA'),
                },
              },
            },
          },
        },
        { name: 'tlsMode-disabled', match: {}, transport_socket: { name: 'raw', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer' } } },
      ],
      typed_extension_protocol_options: {
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
          '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
          common_http_protocol_options: { idle_timeout: '5s', max_requests_per_connection: 3 },
          explicit_http_config: { http2_protocol_options: { max_concurrent_streams: 100, connection_keepalive: { interval: '9s' } } },
        },
      },
    }),
  )
  assert.deepEqual(plan.origin, { resource: 'DestinationRule/prod/order-service', field: 'subsets[0]', revision: 42 })
  assert.deepEqual(plan.destination, { host: 'order-service.prod.svc.cluster.local', name: 'order-service', namespace: 'prod', subset: 'v1', port: 8080 })
  assert.deepEqual([plan.discovery, plan.endpointsName, plan.balancer, plan.choiceCount], ['eds', name, 'least-request', 2])
  assert.deepEqual(plan.limits, { connectionsMax: 4294967295, pendingMax: 1024, requestsMax: 7, retriesMax: 3 })
  assert.deepEqual([plan.protocol, plan.idleTimeoutMs, plan.requestsPerConnectionMax, plan.ping], ['http2', 5_000, 3, { intervalMs: 9_000, timeoutMs: 20_000 }])
  assert.deepEqual(plan.transports.map((one) => [one.name, one.match, one.tls?.certificate, one.tls?.trust]), [
    ['tlsMode-istio', { tlsMode: 'istio' }, 'default', 'ROOTCA'],
    ['tlsMode-disabled', {}, undefined, undefined],
    ['default', {}, undefined, undefined],
  ])
  assert.equal(plan.panicThresholdPercent, 50)
})

test('probes of idle connections are as Linux has them where nothing is said', () => {
  const of = (tcp_keepalive: JsonObject) => good(read({ name, ...eds, upstream_connection_options: { tcp_keepalive } })).keepAlive
  assert.deepEqual(of({}), { idleMs: 7_200_000, everyMs: 75_000, probes: 9 })
  assert.deepEqual(of({ keepalive_time: 30, keepalive_interval: 5, keepalive_probes: 2 }), { idleMs: 30_000, everyMs: 5_000, probes: 2 })
  assert.equal(good(read({ name, ...eds })).keepAlive, undefined)
})

test('outlier detection is read with Envoy\'s defaults, success rates too unless they are switched off', () => {
  const detection = good(read({ name, ...eds, outlier_detection: { enforcing_success_rate: 0, consecutive_5xx: 3, interval: '1s', consecutive_gateway_failure: 2, enforcing_consecutive_gateway_failure: 100 } })).outlier
  assert.deepEqual([detection?.consecutive5xx, detection?.consecutiveGatewayFailure, detection?.intervalMs, detection?.baseEjectionMs, detection?.maxEjectionPercent], [3, 2, 1_000, 30_000, 10])
  assert.equal(detection?.successRate, undefined)
  const rates = good(read({ name, ...eds, outlier_detection: { enforcing_failure_percentage: 100 } })).outlier
  assert.deepEqual([rates?.successRate, rates?.failurePercentage], [{ hostsMin: 5, requestsMin: 100, deviations: 1.9 }, { threshold: 85, hostsMin: 5, requestsMin: 50 }])
  assert.deepEqual(faults(read({ name, ...eds, outlier_detection: { enforcing_success_rate: 50 } })), ['xds.unsupported outlier_detection.enforcing_success_rate'])
})

test('balancers are read in both forms', () => {
  const typed = (type: string, fields: JsonObject = {}): JsonObject => ({
    load_balancing_policy: { policies: [{ typed_extension_config: { name: 'x', typed_config: { '@type': `type.googleapis.com/envoy.extensions.load_balancing_policies.${type}`, ...fields } } }] },
  })
  const of = (fields: JsonObject) => {
    const plan = good(read({ name, ...eds, ...fields }))
    return [plan.balancer, plan.choiceCount, plan.hashTableSize, plan.localityWeighted]
  }
  assert.deepEqual(of({}), ['round-robin', 2, undefined, false])
  assert.deepEqual(of({ lb_policy: 'RING_HASH', ring_hash_lb_config: { minimum_ring_size: '2048' } }), ['ring-hash', 2, 2048, false])
  assert.deepEqual(of({ lb_policy: 'RANDOM', common_lb_config: { locality_weighted_lb_config: {} } }), ['random', 2, undefined, true])
  assert.deepEqual(of(typed('least_request.v3.LeastRequest', { choice_count: 5 })), ['least-request', 5, undefined, false])
  assert.deepEqual(of(typed('maglev.v3.Maglev', { table_size: '251' })), ['maglev', 2, 251, false])
  assert.deepEqual(of(typed('wrr_locality.v3.WrrLocality', { endpoint_picking_policy: typed('round_robin.v3.RoundRobin')['load_balancing_policy'] ?? null })), ['round-robin', 2, undefined, true])
})

test('a Maglev table whose size is no prime is refused: its filling would not end', () => {
  assert.deepEqual(faults(read({ name, ...eds, lb_policy: 'MAGLEV', maglev_lb_config: { table_size: '250' } })), ['xds.invalid maglev_lb_config.table_size'])
})

test('what a cluster cannot be is named', () => {
  assert.deepEqual(
    faults(read({ name, type: 'LOGICAL_DNS', lb_subset_config: { fallback_policy: 'ANY_ENDPOINT' }, health_checks: [{ timeout: '1s', interval: '1s' }], circuit_breakers: { per_host_thresholds: [{}] } })).sort(),
    ['xds.invalid health_checks[0]', 'xds.invalid health_checks[0].healthy_threshold', 'xds.invalid health_checks[0].unhealthy_threshold', 'xds.unsupported circuit_breakers.per_host_thresholds', 'xds.unsupported lb_subset_config'],
  )
})

test('health checks, slow start, retry budgets and names to resolve are read', () => {
  const plan = good(
    read({
      name, type: 'STRICT_DNS', dns_refresh_rate: '7s',
      load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 'orders.example', port_value: 80 } } } }] }] },
      round_robin_lb_config: { slow_start_config: { slow_start_window: '30s', aggression: { default_value: 2, runtime_key: 'x' } } },
      circuit_breakers: { thresholds: [{ retry_budget: { budget_percent: { value: 25 }, min_retry_concurrency: 4 } }] },
      health_checks: [{ timeout: '1s', interval: '2s', healthy_threshold: 2, unhealthy_threshold: 3, http_health_check: { path: '/healthz', expected_statuses: [{ start: '200', end: '300' }] } }],
    }),
  )
  assert.deepEqual(plan.slowStart, { windowMs: 30_000, aggression: 2, minWeightPercent: 10 })
  assert.deepEqual(plan.limits.retryBudget, { percent: 25, minConcurrency: 4 })
  assert.deepEqual([plan.discovery, plan.dnsRefreshMs], ['strict-dns', 7000])
  const [check] = plan.healthChecks ?? []
  assert.deepEqual([check?.intervalMs, check?.noTrafficIntervalMs, check?.unhealthyThreshold], [2000, 60_000, 3])
  assert.deepEqual(check?.how.kind === 'http' && check.how.statuses, [{ start: 200, end: 300 }])
})

test('a TLS context without trust says so: nobody is verified by oversight', () => {
  const context = (common: JsonObject): JsonObject => ({ name: 'tls', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', common_tls_context: common } })
  assert.equal(good(read({ name, ...eds, transport_socket: context({}) })).transports.at(-1)?.tls?.unverified, true)
  assert.equal(good(read({ name, ...eds, transport_socket: context({ validation_context: { trusted_ca: { filename: '/roots.pem' } } }) })).transports.at(-1)?.tls?.unverified, undefined)
  const named = context({ validation_context: { match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'a' } }] } })
  assert.deepEqual(faults(read({ name, ...eds, transport_socket: named })), ['xds.invalid transport_socket.typed_config.common_tls_context.validation_context'])
})

test('trust and certificates in files of the machine are secrets by name, and inline ones are refused', () => {
  const socket = {
    name: 'tls',
    typed_config: { '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', common_tls_context: { validation_context: { trusted_ca: { filename: '/etc/ssl/certs/ca-certificates.crt' } } } },
  }
  assert.equal(good(read({ name, ...eds, transport_socket: socket })).transports.at(-1)?.tls?.trust, 'file-root:/etc/ssl/certs/ca-certificates.crt')
  const inline = { ...socket, typed_config: { ...socket.typed_config, common_tls_context: { validation_context: { trusted_ca: { inline_string: 'roots' } } } } }
  assert.deepEqual(faults(read({ name, ...eds, transport_socket: inline })), ['xds.unsupported transport_socket.typed_config.common_tls_context.validation_context.trusted_ca'])
})

test('names are kept to be resolved in a DNS cluster, and refused among endpoints', () => {
  const assignment = { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 'example.com', port_value: 443 } } } }] }] }
  const plan = good(read({ name, type: 'STRICT_DNS', load_assignment: assignment }))
  assert.equal(plan.inlineEndpoints?.localities[0]?.endpoints[0]?.address, 'example.com')
  assert.deepEqual(faults(readAssignment(assignment)), ['xds.invalid endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address'])
})

test('endpoints keep locality, priority, weight, health and what their metadata says', () => {
  const endpoint = (address: string, port: number, fields: JsonObject = {}): JsonObject => ({ endpoint: { address: { socket_address: { address, port_value: port } } }, ...fields })
  const plan = good(
    readAssignment({
      cluster_name: name,
      endpoints: [
        { priority: 1, locality: { region: 'eu' }, lb_endpoints: [endpoint('::1', 80)] },
        {
          locality: { region: 'eu', zone: 'eu-1', sub_zone: 'a' },
          load_balancing_weight: 3,
          lb_endpoints: [
            endpoint('127.0.1.2', 15006, {
              load_balancing_weight: 2,
              metadata: { filter_metadata: { 'envoy.transport_socket_match': { tlsMode: 'istio' }, istio: { workload: 'order-v1;prod;order-service;v1;c1' } } },
            }),
            endpoint('127.0.1.2', 15006),
            endpoint('127.0.1.3', 15006, { health_status: 'DRAINING' }),
          ],
        },
      ],
    }),
  )
  assert.deepEqual(plan.localities.map((one) => [one.priority, one.locality, one.weight, one.endpoints.map((endpoint) => endpoint.key)]), [
    [0, 'eu/eu-1/a', 3, ['127.0.1.2:15006', '127.0.1.3:15006']],
    [1, 'eu', 0, ['[::1]:80']],
  ])
  const [first, second] = plan.localities[0]?.endpoints ?? []
  assert.deepEqual([first?.weight, first?.transport, first?.health, second?.health], [2, { tlsMode: 'istio' }, 'healthy', 'draining'])
  assert.deepEqual(first?.workload, { name: 'order-v1', namespace: 'prod', service: 'order-service', version: 'v1', cluster: 'c1' })
})

test('an empty assignment is a plan without endpoints', () => {
  assert.deepEqual(good(readAssignment({ cluster_name: name })).localities, [])
})

test('a scope is its key and the table that it names', () => {
  const scope = readScope(
    encodeCanonical(ScopedRouteConfigurationSchema, messageFromJson(ScopedRouteConfigurationSchema, { name: '8080|order-service', route_configuration_name: 'r', key: { fragments: [{ string_key: '8080' }, { string_key: 'order-service' }] } })),
    'v1',
  )
  assert.deepEqual(good(scope), { name: '8080|order-service', version: 'v1', key: '8080|order-service', table: 'r' })
})

test('secrets are read, and a fault about one never shows it', () => {
  const secret = (json: JsonObject) => readSecret(encodeCanonical(SecretSchema, messageFromJson(SecretSchema, json)), 'v1')
  const pem = (label: string) => `-----BEGIN ${label}-----\nAAAA\n-----END ${label}-----\n`
  assert.deepEqual(good(secret({ name: 'default', tls_certificate: { certificate_chain: { inline_string: pem('CERTIFICATE') }, private_key: { inline_string: pem('PRIVATE KEY') } } })), {
    kind: 'certificate',
    name: 'default',
    version: 'v1',
    chainPem: pem('CERTIFICATE'),
    keyPem: pem('PRIVATE KEY'),
  })
  assert.equal(good(secret({ name: 'ROOTCA', validation_context: { trusted_ca: { inline_string: pem('CERTIFICATE') } } })).kind, 'trust')
  const bad = secret({ name: 'default', tls_certificate: { certificate_chain: { inline_string: pem('CERTIFICATE') }, private_key: { inline_string: 'canary-key' } } })
  assert.ok(!bad.ok)
  assert.ok(!JSON.stringify(bad.faults).includes('canary-key'))
})

test('a Unix socket is an endpoint by its path', () => {
  const assignment = { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: '/run/app.sock' } } } }] }] }
  const endpoint = good(read({ name, type: 'STATIC', load_assignment: assignment })).inlineEndpoints?.localities[0]?.endpoints[0]
  assert.deepEqual([endpoint?.key, endpoint?.address, endpoint?.port], ['unix:/run/app.sock', 'unix:/run/app.sock', 0])
})
