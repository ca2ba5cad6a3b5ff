import assert from 'node:assert/strict'
import test from 'node:test'
import type { JsonObject } from '@bufbuild/protobuf'
import { encodeCanonical } from '../wire/encode.ts'
import { RouteConfigurationSchema } from '../wire/gen/envoy/config/route/v3/route_pb.ts'
import { messageFromJson } from '../wire/registry.ts'
import { requestFrom } from '../route/request.ts'
import { findVirtualHost, selectRoute } from '../route/select.ts'
import { rewritePath } from '../route/rewrite.ts'
import type { Route, RouteTable } from './route.ts'
import { readRoute } from './read-route.ts'

const read = (json: JsonObject) => readRoute(encodeCanonical(RouteConfigurationSchema, messageFromJson(RouteConfigurationSchema, json)), 'v1')

function table(json: JsonObject): RouteTable {
  const result = read(json)
  assert.ok(result.ok, result.ok ? '' : JSON.stringify(result.faults))
  return result.plan
}

const routes = (...list: JsonObject[]): JsonObject => ({ name: 'r', virtual_hosts: [{ name: 'all', domains: ['*'], routes: list }] })

function chosen(plan: RouteTable, request: Parameters<typeof requestFrom>[0]): Route | undefined {
  const head = requestFrom(request)
  const host = findVirtualHost(plan, head.authority)
  return host && selectRoute(host, head)
}

function faultPaths(json: JsonObject): string[] {
  const result = read(json)
  assert.ok(!result.ok)
  return result.faults.map((fault) => `${fault.code} ${fault.path}`)
}

test('the table of a service as the control plane sends it becomes weights with origins', () => {
  const plan = table({
    name: 'outbound|8080||order-service.prod.svc.cluster.local',
    request_headers_to_remove: ['x-weft-scope', 'X-Weft-Port'],
    max_direct_response_body_size_bytes: 1048576,
    validate_clusters: false,
    virtual_hosts: [
      {
        name: 'order-service.prod.svc.cluster.local:8080',
        domains: ['*'],
        include_request_attempt_count: true,
        routes: [
          {
            name: 'prod/order-service/http[0]',
            match: { prefix: '/', case_sensitive: true },
            metadata: { filter_metadata: { weft: { resource: 'VirtualService/prod/order-service', field: 'http[0]' } } },
            decorator: { operation: 'order-service.prod.svc.cluster.local:8080/*' },
            route: {
              timeout: '0s',
              weighted_clusters: {
                clusters: [
                  { name: 'outbound|8080|v1|order-service.prod.svc.cluster.local', weight: 90, metadata_match: { filter_metadata: { weft: { resource: 'VirtualService/prod/order-service', field: 'http[0].route[0]' } } } },
                  { name: 'outbound|8080|v2|order-service.prod.svc.cluster.local', weight: 10 },
                ],
              },
              retry_policy: {
                retry_on: 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes',
                retriable_status_codes: [503],
                num_retries: 2,
                host_selection_retry_max_attempts: 5,
                retry_host_predicate: [{ name: 'p', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate' } }],
              },
              request_mirror_policies: [{ cluster: 'copy', runtime_fraction: { default_value: { numerator: 500000, denominator: 'MILLION' } }, trace_sampled: false, disable_shadow_host_suffix_append: true }],
            },
          },
        ],
      },
    ],
  })
  assert.deepEqual(plan.requestHeadersToRemove, ['x-weft-scope', 'x-weft-port'])
  const route = plan.any?.routes[0]
  assert.equal(route?.operation, 'order-service.prod.svc.cluster.local:8080/*')
  assert.deepEqual(route?.origin, { resource: 'VirtualService/prod/order-service', field: 'http[0]', revision: 0 })
  assert.ok(route?.action.kind === 'forward')
  assert.deepEqual(route.action.clusters.cumulative, [90, 100])
  assert.equal(route.action.clusters.entries[0]?.origin?.field, 'http[0].route[0]')
  assert.equal(route.action.clusters.entries[1]?.origin?.field, 'http[0]')
  assert.equal(route.action.timeoutMs, 0)
  assert.deepEqual(route.action.mirrors, [{ cluster: 'copy', percent: 50, marksHost: false }])
  assert.equal(route.action.retry?.retriesMax, 2)
  assert.equal(route.action.retry?.avoidTriedHosts, true)
  assert.equal(route.action.retry?.hostSelectionAttemptsMax, 5)
  assert.deepEqual([...(route.action.retry?.statusCodes ?? [])], [503])
})

test('without a timeout a route has the 15 seconds of Envoy', () => {
  const plan = table(routes({ match: { prefix: '/' }, route: { cluster: 'a' } }))
  const action = plan.any?.routes[0]?.action
  assert.ok(action?.kind === 'forward')
  assert.equal(action.timeoutMs, 15_000)
})

test('an earlier route beats a longer prefix behind it', () => {
  const plan = table(routes({ name: 'all', match: { prefix: '/' }, route: { cluster: 'a' } }, { name: 'orders', match: { prefix: '/orders' }, route: { cluster: 'b' } }))
  assert.equal(chosen(plan, { authority: 'x', path: '/orders' })?.name, 'all')
})

const matchCases: { name: string; match: JsonObject; yes: Parameters<typeof requestFrom>[0][]; no: Parameters<typeof requestFrom>[0][] }[] = [
  { name: 'a prefix', match: { prefix: '/a' }, yes: [{ authority: 'x', path: '/a' }, { authority: 'x', path: '/ab?c' }], no: [{ authority: 'x', path: '/A' }] },
  { name: 'a prefix in any case', match: { prefix: '/a', case_sensitive: false }, yes: [{ authority: 'x', path: '/Ab' }], no: [{ authority: 'x', path: '/b' }] },
  { name: 'an exact path, query aside', match: { path: '/a' }, yes: [{ authority: 'x', path: '/a' }, { authority: 'x', path: '/a?b=c' }], no: [{ authority: 'x', path: '/a/' }, { authority: 'x', path: '/ab' }] },
  { name: 'whole segments', match: { path_separated_prefix: '/a' }, yes: [{ authority: 'x', path: '/a' }, { authority: 'x', path: '/a/b' }, { authority: 'x', path: '/a?b' }], no: [{ authority: 'x', path: '/ab' }] },
  { name: 'a pattern of the whole path', match: { safe_regex: { regex: '/a[0-9]+' } }, yes: [{ authority: 'x', path: '/a12?q' }], no: [{ authority: 'x', path: '/a12b' }] },
  {
    name: 'a header by value',
    match: { prefix: '/', headers: [{ name: 'X-Canary', string_match: { exact: 'true' } }] },
    yes: [{ authority: 'x', headers: { 'x-canary': 'true' } }],
    no: [{ authority: 'x' }, { authority: 'x', headers: { 'x-canary': 'True' } }],
  },
  { name: 'a header present', match: { prefix: '/', headers: [{ name: 'a', present_match: true }] }, yes: [{ authority: 'x', headers: { a: '' } }], no: [{ authority: 'x' }] },
  { name: 'a header absent', match: { prefix: '/', headers: [{ name: 'a', present_match: true, invert_match: true }] }, yes: [{ authority: 'x' }], no: [{ authority: 'x', headers: { a: '1' } }] },
  {
    name: 'not a value, a missing header being no match',
    match: { prefix: '/', headers: [{ name: 'a', string_match: { exact: '1' }, invert_match: true }] },
    yes: [{ authority: 'x', headers: { a: '2' } }],
    no: [{ authority: 'x' }, { authority: 'x', headers: { a: '1' } }],
  },
  {
    name: 'not a value, a missing header counting as empty',
    match: { prefix: '/', headers: [{ name: 'a', string_match: { exact: '1' }, invert_match: true, treat_missing_header_as_empty: true }] },
    yes: [{ authority: 'x' }, { authority: 'x', headers: { a: '2' } }],
    no: [{ authority: 'x', headers: { a: '1' } }],
  },
  { name: 'a number in a range', match: { prefix: '/', headers: [{ name: 'n', range_match: { start: 5, end: 7 } }] }, yes: [{ authority: 'x', headers: { n: '6' } }], no: [{ authority: 'x', headers: { n: '7' } }, { authority: 'x', headers: { n: '6a' } }] },
  { name: 'the method', match: { prefix: '/', headers: [{ name: ':method', string_match: { exact: 'POST' } }] }, yes: [{ authority: 'x', method: 'POST' }], no: [{ authority: 'x' }] },
  { name: 'the host by its other name', match: { prefix: '/', headers: [{ name: 'Host', string_match: { prefix: 'x' } }] }, yes: [{ authority: 'xy' }], no: [{ authority: 'y' }] },
  {
    name: 'a query parameter',
    match: { prefix: '/', query_parameters: [{ name: 'v', string_match: { exact: '2' } }] },
    yes: [{ authority: 'x', path: '/?a=1&v=2' }],
    no: [{ authority: 'x', path: '/?vv=2' }, { authority: 'x', path: '/?v=22' }, { authority: 'x', path: '/v=2' }],
  },
  { name: 'gRPC', match: { prefix: '/', grpc: {} }, yes: [{ authority: 'x', headers: { 'content-type': 'application/grpc+proto' } }], no: [{ authority: 'x', headers: { 'content-type': 'application/grpc-web' } }] },
]
for (const { name, match, yes, no } of matchCases) {
  test(`a route matches ${name}`, () => {
    const plan = table(routes({ match, route: { cluster: 'a' } }))
    for (const request of yes) assert.ok(chosen(plan, request), JSON.stringify(request))
    for (const request of no) assert.equal(chosen(plan, request), undefined, JSON.stringify(request))
  })
}

test('a virtual host is found by exact name, longest suffix, longest prefix, then *', () => {
  const plan = table({
    name: 'r',
    virtual_hosts: [
      { name: 'any', domains: ['*'] },
      { name: 'suffix', domains: ['*.com'] },
      { name: 'longer suffix', domains: ['*.example.com'] },
      { name: 'prefix', domains: ['api.*'] },
      { name: 'exact', domains: ['A.example.com'] },
    ],
  })
  const found = (authority: string) => findVirtualHost(plan, authority)?.name
  assert.equal(found('a.EXAMPLE.com'), 'exact')
  assert.equal(found('b.example.com'), 'longer suffix')
  assert.equal(found('.example.com'), 'suffix')
  assert.equal(found('api.com'), 'suffix')
  assert.equal(found('api.org'), 'prefix')
  assert.equal(found('other'), 'any')
  assert.equal(found('a.example.com:80'), 'any')
})

test('ports are ignored in host names when the table says so', () => {
  const plan = table({ name: 'r', ignore_port_in_host_matching: true, virtual_hosts: [{ name: 'a', domains: ['a.com', '[::1]'] }] })
  assert.equal(findVirtualHost(plan, 'a.com:8080')?.name, 'a')
  assert.equal(findVirtualHost(plan, '[::1]:8080')?.name, 'a')
})

test('what goes into a request line or an answer is its bytes on the wire, and never another line', () => {
  const plan = table(routes({ match: { prefix: '/u' }, route: { cluster: 'c', prefix_rewrite: '/Ċx y', host_rewrite_literal: 'aĊb' } }, { match: { prefix: '/r' }, redirect: { path_redirect: '/Ċ' } }, { match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: 'grüße Ċ' } } }))
  const bytes = (text: string | undefined): string => Buffer.from(text ?? '', 'latin1').toString('utf8')
  const forward = chosen(plan, { authority: 'a', path: '/u' })?.action
  assert.ok(forward?.kind === 'forward')
  assert.equal(bytes(forward.prefixRewrite?.to), '/Ċx%20y')
  assert.equal(bytes(forward.hostRewrite), 'aĊb')
  const redirect = chosen(plan, { authority: 'a', path: '/r' })?.action
  assert.ok(redirect?.kind === 'redirect')
  assert.equal(bytes(redirect.path), '/Ċ')
  const direct = chosen(plan, { authority: 'a', path: '/' })?.action
  assert.ok(direct?.kind === 'direct')
  assert.equal(bytes(direct.body), 'grüße Ċ')
  assert.deepEqual(faultPaths(routes({ match: { prefix: '/' }, route: { cluster: 'c', prefix_rewrite: '/a\r\nb' } })), ['xds.invalid virtual_hosts[0].routes[0].route.prefix_rewrite'])
})

test('prefix_rewrite replaces the text that matched and nothing else', () => {
  const rewritten = (match: JsonObject, action: JsonObject, path: string) => {
    const route = table(routes({ match, route: { cluster: 'a', ...action } })).any?.routes[0]
    assert.ok(route?.action.kind === 'forward')
    return rewritePath(route.action, path)
  }
  assert.equal(rewritten({ prefix: '/common' }, { prefix_rewrite: '/' }, '/common/x?q=1'), '//x?q=1')
  assert.equal(rewritten({ prefix: '/common/' }, { prefix_rewrite: '/' }, '/common/x'), '/x')
  assert.equal(rewritten({ path: '/a' }, { prefix_rewrite: '/b' }, '/a?q=1'), '/b?q=1')
  assert.equal(rewritten({ safe_regex: { regex: '/a.*' } }, { prefix_rewrite: '/b' }, '/aaa?q=1'), '/b?q=1')
  assert.equal(rewritten({ prefix: '/' }, { regex_rewrite: { pattern: { regex: '^/([^/]+)/(.*)$' }, substitution: '/\\2/\\1' } }, '/a/b?q=/x/y'), '/b/a?q=/x/y')
})

test('headers of a route, its host and its table apply from the inside out, and later ones win', () => {
  const set = (name: string, value: string): JsonObject => ({ header: { key: name, value }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' })
  const plan = table({
    name: 'r',
    response_headers_to_add: [set('a', 'table')],
    virtual_hosts: [
      {
        name: 'h',
        domains: ['*'],
        response_headers_to_remove: ['c'],
        routes: [{ match: { prefix: '/' }, route: { cluster: 'x' }, response_headers_to_add: [set('A', 'route'), { header: { key: 'b', value: '%REQ(x)%' } }, set('c', '1')] }],
      },
    ],
  })
  assert.deepEqual(plan.any?.routes[0]?.responseHeaders, { set: [{ name: 'a', value: 'table' }], add: [{ name: 'b', value: '%REQ(x)%' }], remove: ['c'] })
})

test('faults and CORS for a route come from its filter settings, else from its host', () => {
  const fault = (percent: number): JsonObject => ({
    'envoy.filters.http.fault': { '@type': 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault', abort: { http_status: 418, percentage: { numerator: percent } } },
  })
  const plan = table({
    name: 'r',
    virtual_hosts: [
      {
        name: 'h',
        domains: ['*'],
        typed_per_filter_config: fault(10),
        routes: [
          { match: { prefix: '/a' }, route: { cluster: 'x' }, typed_per_filter_config: fault(50) },
          {
            match: { prefix: '/' },
            route: { cluster: 'x' },
            typed_per_filter_config: { 'envoy.filters.http.cors': { '@type': 'type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy', allow_origin_string_match: [{ exact: 'https://a' }], max_age: '60' } },
          },
        ],
      },
    ],
  })
  const [first, second] = plan.any?.routes ?? []
  assert.equal(first?.fault?.abortPercent, 50)
  assert.equal(second?.fault?.abortPercent, 10)
  assert.equal(second?.cors?.allowOrigins[0]?.matches('https://a'), true)
  assert.equal(second?.cors?.maxAge, '60')
})

test('all that cannot be carried out is refused by name, at once', () => {
  assert.deepEqual(
    faultPaths({
      name: 'r',
      vhds: {},
      virtual_hosts: [
        {
          name: 'h',
          domains: ['*'],
          hedge_policy: { hedge_on_per_try_timeout: true },
          routes: [
            { match: { prefix: '/', runtime_fraction: { default_value: { numerator: 50 } } }, route: { cluster_header: 'x' } },
            { match: { safe_regex: { regex: '(' } }, route: { cluster: 'a', retry_policy: { retry_on: '5xx,strange' } } },
            { match: { prefix: '/' }, route: { weighted_clusters: { clusters: [{ name: 'a', weight: 0 }] } } },
          ],
        },
      ],
    }),
    [
      'xds.unsupported vhds',
      'xds.unsupported virtual_hosts[0].hedge_policy',
      'xds.unsupported virtual_hosts[0].routes[0].match.runtime_fraction',
      'xds.unsupported virtual_hosts[0].routes[0].route.cluster_header',
      'xds.invalid virtual_hosts[0].routes[1].match.safe_regex',
      'xds.unsupported virtual_hosts[0].routes[1].route.retry_policy.retry_on',
      'xds.invalid virtual_hosts[0].routes[2].route.weighted_clusters',
    ],
  )
})

test('two virtual hosts may not claim one domain', () => {
  assert.deepEqual(faultPaths({ name: 'r', virtual_hosts: [{ name: 'a', domains: ['x.com'] }, { name: 'b', domains: ['X.com'] }] }), ['xds.invalid virtual_hosts[1].domains[0]'])
})

test('bytes that are no route configuration are a fault', () => {
  const result = readRoute(Uint8Array.of(0xff, 0xff), 'v1')
  assert.ok(!result.ok)
  assert.equal(result.faults[0]?.code, 'xds.invalid')
})
