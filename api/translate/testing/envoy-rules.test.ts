import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { type JsonValue, toBinary } from '@bufbuild/protobuf'
import { BootstrapSchema } from '#core/wire/gen/envoy/config/bootstrap/v3/bootstrap_pb.ts'
import { messageFromJson } from '#core/wire/registry.ts'
import { ENVOY_VERSIONS, installEnvoy } from '#infra/parts/envoy.ts'
import { brokenRules } from './envoy-rules.ts'

const folder = mkdtempSync(join(tmpdir(), 'weft-envoy-rules-'))
after(() => rmSync(folder, { recursive: true, force: true }))

type Words = Readonly<Record<string, JsonValue>>

const any = (type: string, words: Words): Words => ({ '@type': `type.googleapis.com/${type}`, ...words })
const cluster = (words: Words): Words => ({ clusters: [{ name: 'c', connect_timeout: '1s', ...words }] })
const endpoint = (words: Words, group: Words = {}): Words => cluster({ type: 'STATIC', load_assignment: { cluster_name: 'c', endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: 1 } } }, ...words }], ...group }] } })
const listener = (words: Words): Words => ({ listeners: [{ name: 'l', address: { socket_address: { address: '127.0.0.1', port_value: 0 } }, ...words }] })
const ROUTER: Words = { name: 'router', typed_config: any('envoy.extensions.filters.http.router.v3.Router', {}) }
const manager = (words: Words): Words => listener({ filter_chains: [{ filters: [{ name: 'http', typed_config: any('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', { stat_prefix: 's', route_config: {}, http_filters: [ROUTER], ...words }) }] }] })
const route = (words: Words, host: Words = {}): Words => manager({ route_config: { virtual_hosts: [{ name: 'v', domains: ['*'], routes: [{ match: { prefix: '/' }, direct_response: { status: 200 }, ...words }], ...host }] } })
const filter = (type: string, words: Words): Words => manager({ http_filters: [{ name: 'f', typed_config: any(type, words) }, ROUTER] })
const network = (type: string, words: Words): Words => listener({ filter_chains: [{ filters: [{ name: 'n', typed_config: any(type, words) }, { name: 'tcp', typed_config: any('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', { stat_prefix: 't', cluster: 'c' }) }] }] })
const RBAC = 'envoy.extensions.filters.http.rbac.v3.RBAC'
const FAULT = 'envoy.extensions.filters.http.fault.v3.HTTPFault'
const BUCKETS = 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit'

/** What is taken, and how: a rule's edge where there is one. */
const valid: Readonly<Record<string, Words>> = {
  'a cluster': cluster({ type: 'STATIC' }),
  'an alternative name of sixty characters': cluster({ type: 'STATIC', alt_stat_name: 'a'.repeat(60) }),
  'a weight of one': endpoint({ load_balancing_weight: 1 }),
  'the last port': endpoint({ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: 65_535 } } } }),
  'all percents': cluster({ type: 'STATIC', outlier_detection: { max_ejection_percent: 100, enforcing_success_rate: 0 } }),
  'the longest ring': cluster({ type: 'STATIC', lb_policy: 'RING_HASH', ring_hash_lb_config: { maximum_ring_size: 8_388_608 } }),
  'a direct response of 599': route({ direct_response: { status: 599 } }),
  'a header value of letters': route({ response_headers_to_add: [{ header: { key: 'x-a', value: 'b' } }] }),
  'an RBAC policy': filter(RBAC, { rules: { policies: { p: { permissions: [{ any: true }], principals: [{ any: true }] } } } }),
  'a fixed delay': filter(FAULT, { delay: { fixed_delay: '0.000000001s', percentage: { numerator: 1 } } }),
  'the lowest status of an abort': filter(FAULT, { abort: { http_status: 200, percentage: { numerator: 1 } } }),
  'a bucket filled each 50 milliseconds': filter(BUCKETS, { stat_prefix: 's', token_bucket: { max_tokens: 1, fill_interval: '0.050s' } }),
}

/** What is refused, each by another kind of rule. */
const broken: Readonly<Record<string, readonly [rule: RegExp, words: Words]>> = {
  'a name must not be empty (string.min_len)': [/clusters\[0\]\.name: min_len/, cluster({ name: '', type: 'STATIC' })],
  'a time-out above zero (duration.gt)': [/connect_timeout: gt 0/, cluster({ type: 'STATIC', connect_timeout: '0s' })],
  'a weight of nothing (wrapped uint32.gte)': [/load_balancing_weight: gte 1/, endpoint({ load_balancing_weight: 0 })],
  'a port beyond the last (uint32 in a oneof)': [/port_value: lte 65535/, endpoint({ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: 65_536 } } } })],
  'a priority that is none (uint32.lte)': [/priority: lte 128/, endpoint({}, { priority: 129 })],
  'more than all percents (wrapped uint32.lte)': [/max_ejection_percent: lte 100/, cluster({ type: 'STATIC', outlier_detection: { max_ejection_percent: 101 } })],
  'too long a ring (wrapped uint64.lte)': [/maximum_ring_size: lte/, cluster({ type: 'STATIC', lb_policy: 'RING_HASH', ring_hash_lb_config: { maximum_ring_size: 8_388_609 } })],
  'a policy that has no number (enum.defined_only)': [/lb_policy: defined_only/, cluster({ type: 'STATIC', lb_policy: 99 })],
  'a cluster without an address to bind to (message.required)': [/extra_source_addresses\[0\]\.address: required/, cluster({ type: 'STATIC', upstream_bind_config: { source_address: { address: '127.0.0.1', port_value: 0 }, extra_source_addresses: [{}] } })],
  'an address that is none of its kinds (oneof)': [/address\.address: required/, listener({ address: {} })],
  'a virtual host without domains (repeated.min_items)': [/domains: min_items 1/, route({}, { domains: [] })],
  'a route of no kind (oneof in a message in an Any)': [/path_specifier: required/, route({ match: {} })],
  'a status below 200 (uint32 range)': [/status: /, route({ direct_response: { status: 99 } })],
  'a status beyond 599 (uint32.lt)': [/status: /, route({ direct_response: { status: 600 } })],
  'a header value with a line break (well_known_regex)': [/well_known_regex/, route({ response_headers_to_add: [{ header: { key: 'x-a', value: 'b\nc' } }] })],
  'a header name with a line break (well_known_regex)': [/well_known_regex/, route({ request_headers_to_remove: ['a\nb'] })],
  'a header name of nothing (repeated.items)': [/request_headers_to_remove\[0\]: min_len/, route({ request_headers_to_remove: [''] })],
  'too long a header (string.max_bytes)': [/max_bytes/, route({ response_headers_to_add: [{ header: { key: 'x-a', value: 'b'.repeat(16_385) } }] })],
  'a policy without permissions (in a map)': [/policies\[p\]\.permissions: min_items/, filter(RBAC, { rules: { policies: { p: { principals: [{ any: true }] } } } })],
  'a permission of nothing (oneof below a map)': [/permissions\[0\]\.rule: required/, filter(RBAC, { rules: { policies: { p: { permissions: [{}], principals: [{ any: true }] } } } })],
  'a delay of nothing (duration in a oneof)': [/fixed_delay: gt 0/, filter(FAULT, { delay: { fixed_delay: '0s', percentage: { numerator: 1 } } })],
  'an abort of 199 (uint32 in a oneof)': [/http_status: /, filter(FAULT, { abort: { http_status: 199, percentage: { numerator: 1 } } })],
  'a bucket that nothing fills (duration.required)': [/fill_interval: required/, filter(BUCKETS, { stat_prefix: 's', token_bucket: { max_tokens: 1 } })],
  'statistics without a prefix (network filter)': [/stat_prefix: min_len/, network('envoy.extensions.filters.network.rbac.v3.RBAC', {})],
  'a connection manager without routes (oneof)': [/route_specifier: required/, listener({ filter_chains: [{ filters: [{ name: 'http', typed_config: any('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', { stat_prefix: 's', http_filters: [ROUTER] }) }] }] })],
  'too small a window of HTTP/2 (wrapped uint32 range)': [/initial_stream_window_size: /, manager({ http2_protocol_options: { initial_stream_window_size: 1 } })],
}

const bootstrapOf = (words: Words): JsonValue => ({ node: { id: 'test', cluster: 'test' }, static_resources: { clusters: [{ name: 'c', type: 'STATIC', connect_timeout: '1s' }], ...words } })
const judged = (words: Words): string[] => brokenRules('envoy.config.bootstrap.v3.Bootstrap', toBinary(BootstrapSchema, messageFromJson(BootstrapSchema, bootstrapOf(words))))

for (const [name, words] of Object.entries(valid)) test(`the rules take ${name}`, () => assert.deepEqual(judged(words), []))

for (const [name, [rule, words]] of Object.entries(broken)) {
  test(`the rules refuse ${name}`, () => {
    const found = judged(words)
    assert.ok(found.some((one) => rule.test(one)), found.join('\n') || 'they take it')
  })
}

test('a message that Envoy does not have is told, and so is a field', () => {
  assert.match(brokenRules('nobody.Knows', new Uint8Array()).join(), /there is no message "nobody\.Knows"/)
  assert.match(brokenRules('envoy.config.core.v3.Locality', Uint8Array.of(0xf8, 0x07, 1)).join(), /has no field 127/)
})

for (const version of ENVOY_VERSIONS) {
  test(`stock Envoy ${version} judges as the rules do`, async () => {
    const envoy = await installEnvoy(version)
    const verdicts: Record<string, string> = {}
    for (const [index, [name, words]] of [...Object.entries(valid), ...Object.entries(broken).map(([name, [, words]]) => [name, words] as const)].entries()) {
      const file = join(folder, `${version}-${index}.json`)
      writeFileSync(file, JSON.stringify(bootstrapOf(words)))
      verdicts[name] = await promisify(execFile)(envoy, ['--mode', 'validate', '-c', file, '--log-level', 'error']).then(
        () => 'taken',
        () => 'refused',
      )
    }
    assert.deepEqual(verdicts, Object.fromEntries([...Object.keys(valid).map((name) => [name, 'taken']), ...Object.keys(broken).map((name) => [name, 'refused'])]))
  })
}
