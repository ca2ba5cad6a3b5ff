import assert from 'node:assert/strict'
import http from 'node:http'
import { test } from 'node:test'
import type { JsonValue } from '@bufbuild/protobuf'
import { httpServer } from '#proxy/testing/peers.ts'
import { sendRaw } from './raw-http.ts'
import { httpListener, staticCluster, startTwins } from './twins.ts'

const NAME = 'envoy.filters.http.local_ratelimit'
const share = (numerator: number): JsonValue => ({ default_value: { numerator } })
/** So many requests, and no more while a test runs. */
const bucket = (tokens: number): JsonValue => ({ max_tokens: tokens, tokens_per_fill: 1, fill_interval: '3600s' })

const limit = (over: { readonly [field: string]: JsonValue }): { readonly [field: string]: JsonValue } => ({
  '@type': 'type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit',
  stat_prefix: 'l',
  filter_enabled: share(100),
  filter_enforced: share(100),
  ...over,
})

const header = (key: string, value: string, action = 'OVERWRITE_IF_EXISTS_OR_ADD'): JsonValue => ({ header: { key, value }, append_action: action })
const route = (prefix: string, over: { readonly [field: string]: JsonValue }, more: { readonly [field: string]: JsonValue } = {}): JsonValue => ({
  match: { prefix },
  route: { cluster: 'up', ...more },
  typed_per_filter_config: { [NAME]: limit(over) },
})
const user: JsonValue = { request_headers: { header_name: 'x-user', descriptor_key: 'user' } }
const generic = (value: string): JsonValue => ({ generic_key: { descriptor_value: value } })
const own = (entries: JsonValue, tokens: number): JsonValue => ({ entries, token_bucket: bucket(tokens) })

const hosts: JsonValue = [
  {
    name: 'limited',
    domains: ['limited.example'],
    typed_per_filter_config: { [NAME]: limit({ token_bucket: bucket(2) }) },
    routes: [
      { match: { prefix: '/own' }, route: { cluster: 'up' }, typed_per_filter_config: { [NAME]: limit({ token_bucket: bucket(1), status: { code: 'ServiceUnavailable' } }) } },
      { match: { prefix: '/direct' }, direct_response: { status: 200, body: { inline_string: 'own' } } },
      { match: { prefix: '/' }, route: { cluster: 'up' } },
    ],
  },
  {
    name: 'all',
    domains: ['*'],
    rate_limits: [{ actions: [generic('host')] }],
    routes: [
      route('/status', { token_bucket: bucket(1), status: { code: 'OK' } }),
      route('/headers', { token_bucket: bucket(1), response_headers_to_add: [header('x-limited', 'yes'), header('x-limited', 'twice', 'APPEND_IF_EXISTS_OR_ADD'), header('x-path', '%REQ(:PATH)%')] }),
      route('/counted', { token_bucket: bucket(1), filter_enforced: share(0), request_headers_to_add_when_not_enforced: [header('x-over', 'set'), header('x-more', 'added', 'APPEND_IF_EXISTS_OR_ADD'), header('x-absent', 'new', 'ADD_IF_ABSENT')] }),
      route('/off', { token_bucket: bucket(1), filter_enabled: share(0) }),
      route('/quota', { token_bucket: bucket(2), enable_x_ratelimit_headers: 'DRAFT_VERSION_03' }),
      route('/exhausted', { token_bucket: bucket(1), rate_limited_as_resource_exhausted: true }),
      route('/grpc', { token_bucket: bucket(1) }),
      route('/connection', { token_bucket: bucket(1), local_rate_limit_per_downstream_connection: true }),
      route('/users', { token_bucket: bucket(100), enable_x_ratelimit_headers: 'DRAFT_VERSION_03', descriptors: [own([{ key: 'user', value: 'ann' }], 1), own([{ key: 'user', value: '' }], 2)] }, { rate_limits: [{ actions: [user] }] }),
      route('/open', { token_bucket: bucket(100), max_dynamic_descriptors: 1, descriptors: [own([{ key: 'user', value: '' }], 1)] }, { rate_limits: [{ actions: [user] }] }),
      route('/both', { token_bucket: bucket(2), descriptors: [own([{ key: 'user', value: 'ann' }], 50)] }, { rate_limits: [{ actions: [user] }] }),
      route('/instead', { token_bucket: bucket(1), always_consume_default_token_bucket: false, descriptors: [own([{ key: 'user', value: 'ann' }], 3)] }, { rate_limits: [{ actions: [user] }] }),
      route('/host', { token_bucket: bucket(100), descriptors: [own([{ key: 'generic_key', value: 'host' }], 1)] }),
      route('/host-replaced', { token_bucket: bucket(100), descriptors: [own([{ key: 'generic_key', value: 'host' }], 1)] }, { rate_limits: [{ actions: [user] }] }),
      route('/host-too', { token_bucket: bucket(100), vh_rate_limits: 'INCLUDE', descriptors: [own([{ key: 'generic_key', value: 'host' }], 1)] }, { rate_limits: [{ actions: [user] }] }),
      route('/host-asked', { token_bucket: bucket(100), vh_rate_limits: 'IGNORE', descriptors: [own([{ key: 'generic_key', value: 'host' }], 1)] }, { rate_limits: [{ actions: [user] }], include_vh_rate_limits: true }),
      route('/host-not', { token_bucket: bucket(100), vh_rate_limits: 'IGNORE', descriptors: [own([{ key: 'generic_key', value: 'host' }], 1)] }),
      route('/stage', { token_bucket: bucket(100), stage: 1, descriptors: [own([{ key: 'generic_key', value: 'later' }], 1), own([{ key: 'generic_key', value: 'now' }], 2)] }, { rate_limits: [{ actions: [generic('now')] }, { stage: 1, actions: [generic('later')] }] }),
      route('/words', { token_bucket: bucket(100), rate_limits: [{ actions: [generic('words'), user] }], descriptors: [own([{ key: 'generic_key', value: 'words' }, { key: 'user', value: 'ann' }], 1)] }, { rate_limits: [{ actions: [generic('unheard')] }] }),
      route('/slowest', { token_bucket: bucket(100), descriptors: [{ entries: [{ key: 'user', value: 'ann' }], token_bucket: { max_tokens: 50, tokens_per_fill: 50, fill_interval: '3600s' } }, own([{ key: 'generic_key', value: 'slow' }], 1)] }, { rate_limits: [{ actions: [user] }, { actions: [generic('slow')] }] }),
      { match: { prefix: '/' }, route: { cluster: 'up' } },
    ],
  },
]

const TOLD = ['x-envoy-ratelimited', 'x-limited', 'x-path', 'x-ratelimit-limit', 'x-ratelimit-remaining', 'grpc-status', 'grpc-message', 'content-type', 'content-length']

test('local rate limits of listeners, virtual hosts and routes refuse and mark what a stock Envoy does', async (t) => {
  const upstream = await httpServer(t, (request, response) => response.end(JSON.stringify(['x-over', 'x-more', 'x-absent'].map((name) => request.headers[name] ?? ''))))
  const { envoy, weft } = await startTwins(t, {
    listeners: [
      httpListener('plain', hosts, {}, [{ name: NAME, typed_config: limit({ filter_enabled: share(0) }) }]),
      httpListener('own', hosts, {}, [{ name: NAME, typed_config: limit({ token_bucket: bucket(3) }) }]),
      httpListener('other', hosts, {}, [{ name: 'by.another.name', typed_config: limit({ token_bucket: bucket(100) }) }]),
      httpListener('without', hosts, {}, []),
    ],
    clusters: [staticCluster('up', [upstream.port])],
  })
  const cases: readonly (readonly [listener: string, times: number, path: string, ...lines: string[]])[] = [
    ['plain', 3, '/'],
    ['plain', 3, '/status'],
    ['plain', 3, '/headers/1'],
    ['plain', 3, '/counted', 'x-over: mine', 'x-more: mine'],
    ['plain', 2, '/counted', 'x-absent: mine'],
    ['plain', 3, '/off'],
    ['plain', 4, '/quota'],
    ['plain', 2, '/exhausted', 'content-type: application/grpc'],
    ['plain', 2, '/grpc', 'content-type: application/grpc'],
    ['plain', 2, '/connection'],
    ['plain', 2, '/users', 'x-user: ann'],
    ['plain', 3, '/users', 'x-user: ben'],
    ['plain', 1, '/users', 'x-user: cat'],
    ['plain', 1, '/users'],
    ['plain', 2, '/open', 'x-user: ann'],
    ['plain', 2, '/open', 'x-user: ben'],
    ['plain', 2, '/open', 'x-user: ann'],
    ['plain', 4, '/both', 'x-user: ann'],
    ['plain', 4, '/instead', 'x-user: ann'],
    ['plain', 2, '/instead', 'x-user: ben'],
    ['plain', 2, '/host'],
    ['plain', 2, '/host-replaced', 'x-user: ann'],
    ['plain', 2, '/host-too', 'x-user: ann'],
    ['plain', 2, '/host-asked', 'x-user: ann'],
    ['plain', 2, '/host-not'],
    ['plain', 3, '/stage'],
    ['plain', 2, '/words', 'x-user: ann'],
    ['plain', 2, '/words', 'x-user: ben'],
    ['plain', 2, '/slowest', 'x-user: ann'],
    ['plain', 2, '/own', 'host: limited.example'],
    ['plain', 1, '/direct', 'host: limited.example'],
    ['plain', 1, '/a', 'host: limited.example'],
    ['plain', 1, '/b', 'host: limited.example'],
    ['plain', 1, '/direct', 'host: limited.example'],
    ['own', 2, '/a'],
    ['own', 2, '/b'],
    ['own', 1, '/status'],
    ['other', 3, '/status'],
    ['without', 3, '/status'],
  ]
  const differences: string[] = []
  const refused = { 429: 0, 503: 0 }
  for (const [listener, times, path, ...lines] of cases) {
    const host = lines.some((line) => line.startsWith('host:')) ? '' : 'host: a.example\r\n'
    const bytes = `POST ${path} HTTP/1.1\r\n${host}content-length: 0\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
    const outcome = async (engine: typeof envoy): Promise<string> => {
      const said: string[] = []
      for (let nth = 0; nth < times; nth++) {
        const { status, body, headers } = await sendRaw(engine.port(listener), bytes, 'POST', 60_000)
        if (status === 429 || status === 503) refused[status] += 1
        // What is left of an hour.
        const reset = headers['x-ratelimit-reset']
        said.push(JSON.stringify([status, body, TOLD.map((name) => headers[name] ?? ''), reset === undefined ? '' : Number(reset) === 0 ? 'now' : Number(reset) > 3000 && Number(reset) < 3601 ? 'in an hour' : reset]))
      }
      return said.join('\n    ')
    }
    const theirs = await outcome(envoy)
    const ours = await outcome(weft)
    if (theirs !== ours) differences.push(`${listener} ${path} ${lines.join(' ')}\n  envoy ${theirs}\n  weft  ${ours}`)
  }
  assert.deepEqual(differences, [])
  assert.ok(refused[429] > 40 && refused[503] > 1, JSON.stringify(refused))

  // Each connection has a limit of its own, the first that one of its requests asks for.
  for (const engine of [envoy, weft]) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    const ask = (path: string): Promise<number> =>
      new Promise((resolve, reject) => {
        http.get({ host: '127.0.0.1', port: engine.port('plain'), path, agent }, (response) => response.resume().on('end', () => resolve(response.statusCode ?? 0))).on('error', reject)
      })
    assert.deepEqual([await ask('/connection'), await ask('/connection'), await ask('/')], [200, 429, 200], engine.name)
    agent.destroy()
  }
})
