import assert from 'node:assert/strict'
import test from 'node:test'
import type { JsonObject } from '@bufbuild/protobuf'
import { encodeCanonical } from '../wire/encode.ts'
import { ListenerSchema } from '../wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { messageFromJson } from '../wire/registry.ts'
import { authorize } from '../authz/authorize.ts'
import { requestFrom } from '../route/request.ts'
import { selectChain } from '../route/chain.ts'
import type { ListenerPlan } from './listener.ts'
import { readListener } from './read-listener.ts'

const read = (json: JsonObject) => readListener(encodeCanonical(ListenerSchema, messageFromJson(ListenerSchema, json)), 'v1')

function plan(json: JsonObject): ListenerPlan {
  const result = read(json)
  assert.ok(result.ok, result.ok ? '' : JSON.stringify(result.faults))
  return result.plan
}

function faults(json: JsonObject): string[] {
  const result = read(json)
  assert.ok(!result.ok)
  return result.faults.map((fault) => `${fault.code} ${fault.path}`)
}

const address = (port: number): JsonObject => ({ socket_address: { address: '127.0.0.1', port_value: port } })
const type = (name: string): string => `type.googleapis.com/envoy.extensions.filters.${name}`
const router: JsonObject = { name: 'router', typed_config: { '@type': type('http.router.v3.Router') } }
const manager = (fields: JsonObject): JsonObject => ({ name: 'hcm', typed_config: { '@type': type('network.http_connection_manager.v3.HttpConnectionManager'), stat_prefix: 's', ...fields } })
const named = (fields: JsonObject = {}): JsonObject => manager({ rds: { route_config_name: 'r', config_source: { ads: {} } }, http_filters: [router], ...fields })
const listener = (chain: JsonObject, fields: JsonObject = {}): JsonObject => ({ name: 'l', address: address(8080), filter_chains: [chain], ...fields })
const base = 'filter_chains[0].filters[0].typed_config'

const set = (name: string, value: string): JsonObject => ({ append: { header: { key: name, value }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' } })
const scoped = (split: boolean, port: string): JsonObject => ({
  scoped_routes: {
    name: 'weft',
    rds_config_source: { ads: {} },
    scoped_rds: { scoped_rds_config_source: { ads: {} } },
    scope_key_builder: {
      fragments: [
        { header_value_extractor: { name: 'x-weft-port', index: 0 } },
        { header_value_extractor: { name: 'x-weft-scope', ...(split ? { element_separator: ':' } : {}), index: 0 } },
      ],
    },
  },
  early_header_mutation_extensions: [
    {
      name: 'm',
      typed_config: { '@type': 'type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation', mutations: [set('x-weft-scope', '%REQ(:AUTHORITY)%'), set('x-weft-port', port)] },
    },
  ],
})
const lua = (name: string): JsonObject => ({ name, typed_config: { '@type': type('http.lua.v3.Lua'), default_source_code: { inline_string: 'function envoy_on_request(h) end' } } })

test('an outbound listener with scoped routes needs neither headers nor Lua', () => {
  const one = plan(listener({ filters: [manager({ ...scoped(true, '8080'), http_filters: [lua('weft.scope_fallback'), router] })] }, { traffic_direction: 'OUTBOUND' }))
  const serve = one.chains[0]?.serve
  assert.ok(serve?.kind === 'http')
  assert.deepEqual(serve.routes, { kind: 'scoped', port: '8080', splitAuthorityAtColon: true, fallback: true })
  assert.deepEqual(serve.filters, [])
  assert.equal(one.direction, 'outbound')
  assert.deepEqual(one.bind, { address: '127.0.0.1', port: 8080 })
})

test('the listener for explicit proxying keeps the authority whole', () => {
  const serve = plan(listener({ filters: [manager({ ...scoped(false, 'proxy'), http_filters: [router] })] })).chains[0]?.serve
  assert.ok(serve?.kind === 'http')
  assert.deepEqual(serve.routes, { kind: 'scoped', port: 'proxy', splitAuthorityAtColon: false, fallback: false })
})

test('any other Lua filter is refused, and an optional unknown filter is left out', () => {
  assert.deepEqual(faults(listener({ filters: [named({ http_filters: [lua('mine'), router] })] })), [`xds.unsupported ${base}.http_filters[0].typed_config`])
  const optional = { ...lua('mine'), is_optional: true }
  const serve = plan(listener({ filters: [named({ http_filters: [optional, router] })] })).chains[0]?.serve
  assert.ok(serve?.kind === 'http')
  assert.deepEqual(serve.filters, [])
})

test('a JWT filter is read with its providers, rules and keys; what is wrong in it is named', () => {
  const uri = { uri: 'https://issuer/keys', cluster: 'issuer', timeout: '5s' }
  const jwt = (fields: JsonObject) => ({ name: 'jwt', typed_config: { '@type': type('http.jwt_authn.v3.JwtAuthentication'), ...fields } })
  const rules: JsonObject[] = [{ match: { prefix: '/' }, requires: { requires_any: { requirements: [{ provider_name: 'p' }, { allow_missing: {} }] } } }]
  const serve = plan(listener({ filters: [named({ http_filters: [jwt({ providers: { p: { issuer: 'i', remote_jwks: { http_uri: uri }, payload_in_metadata: 'payload' } }, rules }), router] })] })).chains[0]?.serve
  const [filter] = serve?.kind === 'http' ? serve.filters : []
  assert.ok(filter?.kind === 'jwt')
  assert.deepEqual(filter.jwt.providers.get('p')?.keys, { kind: 'remote', uri: 'https://issuer/keys', cluster: 'issuer', timeoutMs: 5000, cacheMs: 600_000 })
  assert.deepEqual(filter.jwt.rules[0]?.requirement, { kind: 'any', of: [{ kind: 'provider', provider: 'p', audiences: undefined }, { kind: 'allow-missing' }] })
  const bad = jwt({ providers: { p: { local_jwks: { inline_string: 'no keys' }, header_in_metadata: 'x' } }, rules: [{ match: { prefix: '/' }, requires: { provider_name: 'q' } }] })
  assert.deepEqual(faults(listener({ filters: [named({ http_filters: [bad, router] })] })).sort(), [
    `xds.invalid ${base}.http_filters[0].typed_config.providers[p].local_jwks`,
    `xds.invalid ${base}.http_filters[0].typed_config.rules[0].requires`,
    `xds.unsupported ${base}.http_filters[0].typed_config.providers[p].header_in_metadata`,
  ])
})

test('an external authorizer is read over gRPC and HTTP; one over Google\'s own client is refused', () => {
  const authz = (fields: JsonObject) => ({ name: 'authz', typed_config: { '@type': type('http.ext_authz.v3.ExtAuthz'), ...fields } })
  const read = (fields: JsonObject) => {
    const serve = plan(listener({ filters: [named({ http_filters: [authz(fields), router] })] })).chains[0]?.serve
    const [filter] = serve?.kind === 'http' ? serve.filters : []
    assert.ok(filter?.kind === 'ext-authz')
    return filter.check
  }
  const grpc = read({ grpc_service: { envoy_grpc: { cluster_name: 'authz' }, timeout: '1s' }, filter_enabled_metadata: { filter: 'envoy.filters.http.rbac', path: [{ key: 'istio_ext_authz_shadow_effective_policy_id' }], value: { string_match: { prefix: 'istio-ext-authz' } } } })
  assert.deepEqual([grpc.service.kind, grpc.timeoutMs, grpc.failsOpen, grpc.statusOnError, grpc.enabledBy?.key], ['grpc', 1000, false, 403, 'istio_ext_authz_shadow_effective_policy_id'])
  const http = read({ http_service: { server_uri: { uri: 'http://authz', cluster: 'authz', timeout: '2s' }, path_prefix: '/check' }, failure_mode_allow: true })
  assert.deepEqual([http.service.kind, http.timeoutMs, http.failsOpen], ['http', 2000, true])
  assert.deepEqual(faults(listener({ filters: [named({ http_filters: [authz({ grpc_service: { google_grpc: { target_uri: 'x', stat_prefix: 'x' } } }), router] })] })), [`xds.unsupported ${base}.http_filters[0].typed_config.grpc_service.google_grpc`])
})

test('a chain of HTTP filters ends with the router', () => {
  const cors = { name: 'cors', typed_config: { '@type': type('http.cors.v3.Cors') } }
  assert.deepEqual(faults(listener({ filters: [named({ http_filters: [cors] })] })), [`xds.invalid ${base}.http_filters[0]`])
})

test('fields that change what happens and are not carried out are named', () => {
  const wrong = { local_reply_config: {}, strip_matching_host_port: true, request_timeout: '3s', codec_type: 'HTTP3' }
  assert.deepEqual(
    faults(listener({ filters: [named(wrong)] })).sort(),
    ['codec_type', 'local_reply_config', 'request_timeout', 'strip_matching_host_port'].map((field) => `xds.unsupported ${base}.${field}`),
  )
})

test("settings of a connection manager keep Envoy's defaults", () => {
  const serve = plan(listener({ filters: [named({ stream_idle_timeout: '0s', max_request_headers_kb: 96, strip_any_host_port: true })] })).chains[0]?.serve
  assert.ok(serve?.kind === 'http')
  assert.equal(serve.streamIdleTimeoutMs, 0)
  assert.equal(serve.idleTimeoutMs, 3_600_000)
  assert.equal(serve.headerBytesMax, 96 * 1024)
  assert.equal(serve.stripPort, true)
  assert.equal(serve.clientCertificateHeader, 'sanitize')
  assert.equal(serve.escapedSlashes, 'keep')
})

const sds = (name: string): JsonObject => ({ name, sds_config: { ads: {} } })
const meshTls: JsonObject = {
  name: 'tls',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
    require_client_certificate: true,
    common_tls_context: {
      alpn_protocols: ['h2', 'http/1.1'],
      tls_params: { tls_minimum_protocol_version: 'TLSv1_2', tls_maximum_protocol_version: 'TLSv1_3' },
      tls_certificate_sds_secret_configs: [sds('default')],
      combined_validation_context: {
        default_validation_context: { match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { prefix: 'spiffe://cluster.local/' } }] },
        validation_context_sds_secret_config: sds('ROOTCA'),
      },
    },
  },
}

test('an inbound listener tells mTLS from plaintext, and policies stand in the order of their filters', () => {
  const rbac = {
    name: 'rbac',
    typed_config: {
      '@type': type('http.rbac.v3.RBAC'),
      rules: {
        action: 'ALLOW',
        policies: {
          'ns[prod]-policy[payment-authz]-rule[0]': {
            permissions: [{ and_rules: { rules: [{ or_rules: { rules: [{ url_path: { path: { prefix: '/api/' } } }] } }] } }],
            principals: [{ and_ids: { ids: [{ or_ids: { ids: [{ authenticated: { principal_name: { exact: 'spiffe://cluster.local/ns/prod/sa/order-service' } } }] } }] } }],
          },
        },
      },
    },
  }
  const inspector = { name: 'envoy.filters.listener.tls_inspector', typed_config: { '@type': type('listener.tls_inspector.v3.TlsInspector') } }
  const one = plan({
    name: 'inbound',
    address: address(15006),
    traffic_direction: 'INBOUND',
    listener_filters: [inspector],
    filter_chains: [
      { name: 'mtls', filter_chain_match: { transport_protocol: 'tls' }, transport_socket: meshTls, filters: [named({ http_filters: [rbac, router] })] },
      { name: 'plain', filter_chain_match: { transport_protocol: 'raw_buffer' }, filters: [named()] },
    ],
  })
  assert.equal(one.inspectsTls, true)
  const arrival = { destinationPort: 15006, serverName: '', applicationProtocols: [] }
  assert.equal(selectChain(one, { ...arrival, transportProtocol: 'raw_buffer' })?.name, 'plain')
  const chain = selectChain(one, { ...arrival, transportProtocol: 'tls' })
  assert.deepEqual([chain?.tls?.certificates, chain?.tls?.trust, chain?.tls?.requireClientCertificate, chain?.tls?.minVersion], [['default'], 'ROOTCA', true, 'TLSv1.2'])
  assert.equal(chain?.tls?.allowedSans[0]?.matches('spiffe://cluster.local/ns/a/sa/b'), true)
  assert.ok(chain?.serve.kind === 'http')
  const [filter] = chain.serve.filters
  assert.ok(filter?.kind === 'rbac')
  const peer = { address: '10.0.0.1', port: 1, localAddress: '10.0.0.2', localPort: 15006, dnsSans: [], sni: '', tls: true }
  const decide = (path: string, account: string) =>
    authorize([filter.policy], requestFrom({ authority: 'payment-service', path }), { ...peer, uriSans: [`spiffe://cluster.local/ns/prod/sa/${account}`] })
  assert.equal(decide('/api/pay?x', 'order-service').allowed, true)
  assert.equal(decide('/metrics', 'order-service').allowed, false)
  const denied = decide('/api/pay', 'client')
  assert.ok(!denied.allowed)
  assert.deepEqual(denied.origin, { resource: 'AuthorizationPolicy/prod/payment-authz', field: 'rules[0]', revision: 0 })
})

test('TCP is shared out by weight, behind RBAC of its own', () => {
  const rbac = { name: 'rbac', typed_config: { '@type': type('network.rbac.v3.RBAC'), stat_prefix: 'tcp.', rules: { action: 'DENY', policies: { a: { permissions: [{ destination_port: 5432 }], principals: [{ any: true }] } } } } }
  const tcp = { name: 'tcp', typed_config: { '@type': type('network.tcp_proxy.v3.TcpProxy'), stat_prefix: 's', idle_timeout: '5s', weighted_clusters: { clusters: [{ name: 'a', weight: 1 }, { name: 'b', weight: 3 }] } } }
  const chain = plan(listener({ filters: [rbac, tcp] })).chains[0]
  assert.equal(chain?.rbac[0]?.action, 'deny')
  assert.ok(chain?.serve.kind === 'tcp')
  assert.deepEqual([chain.serve.clusters.cumulative, chain.serve.idleTimeoutMs], [[1, 4], 5_000])
})

test('criteria of a chain that Weft does not weigh are refused, and so are two chains with one match', () => {
  assert.deepEqual(faults(listener({ filter_chain_match: { source_ports: [1], prefix_ranges: [{ address_prefix: '10.0.0.1', prefix_len: 33 }] }, filters: [named()] })), [
    'xds.unsupported filter_chains[0].filter_chain_match.source_ports',
    'xds.invalid filter_chains[0].filter_chain_match.prefix_ranges[0]',
  ])
  const match = { filter_chain_match: { server_names: ['a.com'] }, filters: [named()] }
  assert.deepEqual(faults({ name: 'l', address: address(1), filter_chains: [{ name: 'a', ...match }, { name: 'b', ...match }] }), ['xds.invalid filter_chains[1].filter_chain_match'])
})

test('CEL conditions are refused; of a filter that is not here there is never a note', () => {
  const rules = (policy: JsonObject): JsonObject => ({ name: 'rbac', typed_config: { '@type': type('http.rbac.v3.RBAC'), rules: { policies: { p: policy } } } })
  const path = `${base}.http_filters[0].typed_config.rules.policies[p]`
  assert.deepEqual(faults(listener({ filters: [named({ http_filters: [rules({ permissions: [{ metadata: { filter: 'x', path: [{ key: 'a' }], value: { present_match: true } } }], principals: [{ any: true }], condition: {} }), router] })] })), [
    `xds.unsupported ${path}.condition`,
  ])
})

test('a log in JSON keeps its fields in order, and a local rate limit its bucket', () => {
  const log = {
    name: 'file',
    typed_config: { '@type': 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog', path: '/dev/stdout', log_format: { json_format: { method: '%REQ(:METHOD)%', code: '%RESPONSE_CODE%' } } },
  }
  const percent = { default_value: { numerator: 100 } }
  const limit = {
    name: 'limit',
    typed_config: { '@type': type('http.local_ratelimit.v3.LocalRateLimit'), stat_prefix: 's', token_bucket: { max_tokens: 10, tokens_per_fill: 5, fill_interval: '1s' }, filter_enabled: percent, filter_enforced: percent },
  }
  const serve = plan(listener({ filters: [named({ access_log: [log], http_filters: [limit, router] })] })).chains[0]?.serve
  assert.ok(serve?.kind === 'http')
  assert.deepEqual(
    serve.accessLog[0]?.fields.map((field) => field.name).sort(),
    ['code', 'method'],
  )
  const [kept] = serve.filters
  assert.ok(kept?.kind === 'local-rate-limit')
  assert.deepEqual([kept.name, kept.limit.bucket, kept.limit.enabledPercent, kept.limit.enforcedPercent], ['limit', { tokensMax: 10, tokensPerFill: 5, fillIntervalMs: 1000 }, 100, 100])
})

test('a listener that is not bound has no address to bind', () => {
  assert.equal(plan(listener({ filters: [named()] }, { bind_to_port: false })).bind, undefined)
})

test('a listener has further addresses, and any address of IPv6 is any of IPv4, too, where it says so', () => {
  const at = (text: string, more: JsonObject = {}): JsonObject => ({ socket_address: { address: text, port_value: 80, ...more } })
  const both = plan(listener({ filters: [named()] }, { address: at('0.0.0.0'), additional_addresses: [{ address: at('::') }] }))
  assert.deepEqual([both.bind, both.further], [{ address: '0.0.0.0', port: 80 }, [{ address: '::', port: 80 }]])
  const compatible = plan(listener({ filters: [named()] }, { address: at('::', { ipv4_compat: true }) }))
  assert.deepEqual([compatible.bind, compatible.further], [{ address: '::', port: 80 }, [{ address: '0.0.0.0', port: 80 }]])
  assert.equal(plan(listener({ filters: [named()] }, { address: at('::') })).further, undefined)
  assert.deepEqual(faults(listener({ filters: [named()] }, { additional_addresses: [{ address: at('::'), socket_options: { socket_options: [{ level: 1 }] } }] })), ['xds.unsupported additional_addresses[0].socket_options'])
})
