import { createHash } from 'node:crypto'
import type { TestContext } from 'node:test'
import type { JsonValue } from '@bufbuild/protobuf'
import { httpServer } from '#proxy/testing/peers.ts'
import { httpListener, type Resources, staticCluster } from './twins.ts'

/** What an upstream says of a request that reached it. Lines that differ by nature (ids, times) are left out. */
interface Seen {
  readonly upstream: string
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly trailers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

const BY_NATURE = ['x-request-id', 'x-envoy-expected-rq-timeout-ms', 'x-envoy-internal']

/** A server that tells what it saw; the path says how it behaves: `/fail/503`, `/reset`, `/cut`, `/slow`, `/close`, `/bare/204`. */
async function startEcho(t: TestContext, upstream: string): Promise<number> {
  const { port } = await httpServer(t, (request, response) => {
    const chunks: Buffer[] = []
    request.on('error', () => response.destroy())
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const url = request.url ?? ''
      const [, how = '', what = ''] = /^\/(fail|reset|cut|slow|close|bare)(?:\/([^/?]*))?/.exec(url) ?? []
      const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !BY_NATURE.includes(name) && name !== 'connection'))
      const body = Buffer.concat(chunks)
      const seen: Seen = { upstream, method: request.method ?? '', url, headers, trailers: request.trailers, body: body.length > 200 ? createHash('sha256').update(body).digest('hex') : body.toString('latin1') }
      if (how === 'reset') return request.socket.destroy()
      if (how === 'slow') return setTimeout(() => response.end(JSON.stringify(seen)), 700)
      if (how === 'cut') {
        response.writeHead(200, { 'content-length': '1000' }).write('half')
        return setImmediate(() => request.socket.destroy())
      }
      if (how === 'bare') return response.writeHead(Number(what) || 204).end()
      if (how === 'close') response.setHeader('connection', 'close')
      return response.writeHead(how === 'fail' ? Number(what) || 503 : 200, { 'content-type': 'application/json', 'x-upstream': upstream, 'x-twice': ['1', '2'], server: 'echo' }).end(JSON.stringify(seen))
    })
  })
  return port
}

const type = 'type.googleapis.com/envoy.extensions.filters.http'
const header = (key: string, value: string, append_action?: string): JsonValue => ({ header: { key, value }, ...(append_action === undefined ? {} : { append_action }) })
const regex = (pattern: string): JsonValue => ({ regex: pattern })

function hosts(): JsonValue {
  return [
    {
      name: 'ports',
      domains: ['ports.example:8443', '*.suffix.example', 'prefix.*'],
      routes: [{ match: { prefix: '/' }, route: { cluster: 'b' } }],
    },
    { name: 'secure', domains: ['secure.example'], require_tls: 'ALL', routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }] },
    {
      name: 'changed',
      domains: ['changed.example'],
      request_headers_to_add: [header('x-added', 'host'), header('x-once', 'new', 'ADD_IF_ABSENT'), header('x-only', 'replaced', 'OVERWRITE_IF_EXISTS')],
      request_headers_to_remove: ['x-gone'],
      response_headers_to_add: [header('x-answer', '%PROTOCOL%'), header('x-upstream', 'set', 'OVERWRITE_IF_EXISTS_OR_ADD'), header('x-new', 'absent', 'ADD_IF_ABSENT')],
      response_headers_to_remove: ['x-twice'],
      include_request_attempt_count: true,
      routes: [{ match: { prefix: '/' }, route: { cluster: 'a', host_rewrite_literal: 'rewritten.example' }, request_headers_to_add: [header('x-added', 'route')] }],
    },
    {
      name: 'all',
      domains: ['*'],
      routes: [
        { match: { path: '/exact' }, route: { cluster: 'b' } },
        { match: { path: '/any-case', case_sensitive: false }, route: { cluster: 'b' } },
        { match: { path_separated_prefix: '/segments' }, route: { cluster: 'b', prefix_rewrite: '/else' } },
        { match: { prefix: '/common/' }, route: { cluster: 'a', prefix_rewrite: '/' } },
        { match: { safe_regex: regex('/users/[0-9]+') }, route: { cluster: 'b', regex_rewrite: { pattern: regex('/users/([0-9]+)'), substitution: '/people/\\1' } } },
        { match: { prefix: '/by-header', headers: [{ name: 'x-version', string_match: { exact: 'v2' } }] }, route: { cluster: 'b' } },
        { match: { prefix: '/by-header', headers: [{ name: 'x-number', range_match: { start: '1', end: '10' } }, { name: 'x-missing', present_match: false }] }, route: { cluster: 'a', prefix_rewrite: '/numbered' } },
        { match: { prefix: '/by-query', query_parameters: [{ name: 'v', string_match: { exact: '2' } }] }, route: { cluster: 'b' } },
        { match: { prefix: '/grpc', grpc: {} }, route: { cluster: 'b' } },
        { match: { prefix: '/redirect/https' }, redirect: { https_redirect: true } },
        { match: { prefix: '/redirect/host' }, redirect: { host_redirect: 'new.example', path_redirect: '/there', strip_query: true, response_code: 'TEMPORARY_REDIRECT' } },
        { match: { prefix: '/redirect/prefix' }, redirect: { prefix_rewrite: '/moved', port_redirect: 8443 } },
        { match: { prefix: '/redirect/regex' }, redirect: { regex_rewrite: { pattern: regex('^/redirect/regex/(.*)$'), substitution: '/re/\\1' }, response_code: 'FOUND' } },
        { match: { prefix: '/direct' }, direct_response: { status: 418, body: { inline_string: 'short and stout' } } },
        { match: { prefix: '/nowhere' }, route: { cluster: 'missing' } },
        { match: { prefix: '/empty' }, route: { cluster: 'empty' } },
        { match: { prefix: '/dead' }, route: { cluster: 'dead' } },
        { match: { prefix: '/retried' }, route: { cluster: 'a', prefix_rewrite: '/fail/503', retry_policy: { retry_on: '5xx', num_retries: 2, retry_back_off: { base_interval: '0.001s', max_interval: '0.002s' } } } },
        { match: { prefix: '/slow' }, route: { cluster: 'a', timeout: '0.2s' } },
        { match: { prefix: '/faulty' }, route: { cluster: 'a' }, typed_per_filter_config: { 'envoy.filters.http.fault': { '@type': `${type}.fault.v3.HTTPFault`, abort: { http_status: 429, percentage: { numerator: 100 } } } } },
        {
          match: { prefix: '/cors' },
          route: { cluster: 'a' },
          typed_per_filter_config: {
            'envoy.filters.http.cors': { '@type': `${type}.cors.v3.CorsPolicy`, allow_origin_string_match: [{ exact: 'https://shop.example' }], allow_methods: 'GET,POST', allow_headers: 'x-a', max_age: '60', expose_headers: 'x-upstream', allow_credentials: true },
          },
        },
        { match: { prefix: '/no' }, route: { cluster: 'a' } },
        { match: { prefix: '/' }, route: { cluster: 'a' } },
      ],
    },
  ]
}

const filters: JsonValue[] = [
  { name: 'envoy.filters.http.fault', typed_config: { '@type': `${type}.fault.v3.HTTPFault` } },
  { name: 'envoy.filters.http.cors', typed_config: { '@type': `${type}.cors.v3.Cors` } },
  {
    name: 'envoy.filters.http.rbac',
    typed_config: {
      '@type': `${type}.rbac.v3.RBAC`,
      rules: { action: 'DENY', policies: { 'no-entry': { permissions: [{ url_path: { path: { prefix: '/no/entry' } } }, { header: { name: 'x-forbidden', present_match: true } }], principals: [{ any: true }] }, 'no-office': { permissions: [{ url_path: { path: { prefix: '/no/office' } } }], principals: [{ remote_ip: { address_prefix: '198.51.100.0', prefix_len: 24 } }] } } },
    },
  },
]

/** Listeners `plain` (all defaults), `careful` (paths normalized, escaped slashes refused, ports ignored) and `edge` (client addresses, one trusted hop). */
export async function makeWorld(t: TestContext, deadPort: number): Promise<Resources> {
  const [a, b] = await Promise.all([startEcho(t, 'a'), startEcho(t, 'b')])
  const careful = httpListener('careful', hosts(), { normalize_path: true, merge_slashes: true, path_with_escaped_slashes_action: 'REJECT_REQUEST', strip_any_host_port: true }, filters)
  return {
    listeners: [httpListener('plain', hosts(), {}, filters), careful, httpListener('edge', hosts(), { use_remote_address: true, xff_num_trusted_hops: 1 }, filters)],
    clusters: [staticCluster('a', [a]), staticCluster('b', [b]), staticCluster('empty', []), staticCluster('dead', [deadPort])],
  }
}
