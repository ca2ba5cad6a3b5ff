import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { create, type JsonValue } from '@bufbuild/protobuf'
import * as grpc from '@grpc/grpc-js'
import { defineTypedMethod, methodsOf } from '#core/wire/grpc.ts'
import { RateLimitResponse_Code as Code, RateLimitResponse_RateLimit_Unit as Unit, RateLimitResponseSchema, RateLimitService, type RateLimitRequest, type RateLimitResponse } from '#core/wire/gen/envoy/service/ratelimit/v3/rls_pb.ts'
import { httpServer } from '#proxy/testing/peers.ts'
import { sendRaw } from './raw-http.ts'
import { httpListener, staticCluster, startTwins } from './twins.ts'

const asBuffer = (bytes: Uint8Array<ArrayBuffer>): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** A rate limit service that notes what it is asked, and refuses what a descriptor calls `limited`. A path with `silent` in it gets no answer. */
async function rateLimitService(t: TestContext): Promise<{ port: number; asked: string[] }> {
  const asked: string[] = []
  const shouldRateLimit = defineTypedMethod(methodsOf(RateLimitService).shouldRateLimit, asBuffer)
  const server = new grpc.Server()
  server.addService({ shouldRateLimit }, {
    shouldRateLimit(call: grpc.ServerUnaryCall<RateLimitRequest, RateLimitResponse>, reply: grpc.sendUnaryData<RateLimitResponse>) {
      const { domain, descriptors } = call.request
      asked.push(JSON.stringify([domain, descriptors.map(({ entries }) => entries.map(({ key, value }) => `${key}=${value}`))]))
      const values = descriptors.flatMap(({ entries }) => entries.map(({ value }) => value))
      if (values.includes('silent')) return
      if (values.includes('broken')) return reply({ code: grpc.status.UNAVAILABLE, details: 'no' })
      const limited = values.includes('limited')
      reply(
        null,
        create(RateLimitResponseSchema, {
          overallCode: limited ? Code.OVER_LIMIT : Code.OK,
          statuses: [
            { code: Code.OK, currentLimit: { requestsPerUnit: 100, unit: Unit.HOUR, name: 'all' }, limitRemaining: 50, durationUntilReset: { seconds: 1800n } },
            { code: limited ? Code.OVER_LIMIT : Code.OK, currentLimit: { requestsPerUnit: 5, unit: Unit.MINUTE }, limitRemaining: limited ? 0 : 4, durationUntilReset: { seconds: 30n } },
          ],
          responseHeadersToAdd: [{ key: 'x-from-service', value: limited ? 'too many' : 'fine' }],
          requestHeadersToAdd: [{ key: 'X-Counted', value: 'yes' }],
          rawBody: limited ? Buffer.from('slow down') : new Uint8Array(),
        }),
      )
    },
  })
  t.after(() => server.forceShutdown())
  return { asked, port: await new Promise((resolve, reject) => server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port)))) }
}

const filter = (over: { readonly [field: string]: JsonValue } = {}): JsonValue => ({
  name: 'envoy.filters.http.ratelimit',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit',
    domain: 'shop',
    timeout: '60s',
    rate_limit_service: { grpc_service: { envoy_grpc: { cluster_name: 'limits' } }, transport_api_version: 'V3' },
    ...over,
  },
})

const header = (name: string, skip = false): JsonValue => ({ request_headers: { header_name: name, descriptor_key: name.replace(/^:/, ''), skip_if_absent: skip } })

const hosts: JsonValue = [
  {
    name: 'all',
    domains: ['*'],
    rate_limits: [{ actions: [{ generic_key: { descriptor_value: 'host' } }, header('x-user', true)] }],
    routes: [
      { match: { prefix: '/own' }, route: { cluster: 'up', rate_limits: [{ actions: [{ generic_key: { descriptor_value: 'own', descriptor_key: 'route' } }, header(':path')] }, { actions: [header('x-user')] }, { stage: 1, actions: [{ generic_key: { descriptor_value: 'later' } }] }] } },
      { match: { prefix: '/both' }, route: { cluster: 'up', include_vh_rate_limits: true, rate_limits: [{ actions: [{ remote_address: {} }] }] } },
      { match: { prefix: '/masked' }, route: { cluster: 'up', rate_limits: [{ actions: [{ masked_remote_address: { v4_prefix_mask_len: 20 } }] }] } },
      { match: { prefix: '/match' }, route: { cluster: 'up', rate_limits: [{ actions: [{ header_value_match: { descriptor_value: 'post', headers: [{ name: ':method', string_match: { exact: 'POST' } }] } }] }, { actions: [{ header_value_match: { descriptor_key: 'not', descriptor_value: 'post', expect_match: false, headers: [{ name: ':method', string_match: { exact: 'POST' } }] } }] }] } },
      { match: { prefix: '/query' }, route: { cluster: 'up', rate_limits: [{ actions: [{ query_parameters: { query_parameter_name: 'q', descriptor_key: 'q' } }] }, { actions: [{ query_parameter_value_match: { descriptor_value: 'is', query_parameters: [{ name: 'q', string_match: { prefix: 'a' } }] } }] }] } },
      { match: { prefix: '/ignored' }, route: { cluster: 'up' }, typed_per_filter_config: { 'envoy.filters.http.ratelimit': { '@type': 'type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute', vh_rate_limits: 'IGNORE' } } },
      { match: { prefix: '/direct' }, direct_response: { status: 200, body: { inline_string: 'direct' } } },
      { match: { prefix: '/' }, route: { cluster: 'up' } },
    ],
  },
]

test('a rate limit service is asked as Envoy asks it, and its word counts as it does there', async (t) => {
  const service = await rateLimitService(t)
  const upstream = await httpServer(t, (request, response) => response.end(`counted: ${request.headers['x-counted'] ?? 'no'}`))
  const grpcCluster = { typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions', explicit_http_config: { http2_protocol_options: {} } } } }
  const edge = { use_remote_address: true }
  const { envoy, weft } = await startTwins(t, {
    listeners: [
      httpListener('plain', hosts, edge, [filter()]),
      httpListener('stage', hosts, edge, [filter({ stage: 1 })]),
      httpListener('closed', hosts, edge, [filter({ failure_mode_deny: true })]),
      httpListener('open', hosts, edge, [filter()]),
      // Only those who wait in vain wait briefly: others are answered, however slow the machine is.
      httpListener('closed and hasty', hosts, edge, [filter({ failure_mode_deny: true, timeout: '1s' })]),
      httpListener('open and hasty', hosts, edge, [filter({ timeout: '1s' })]),
      httpListener('quota', hosts, edge, [filter({ enable_x_ratelimit_headers: 'DRAFT_VERSION_03', disable_x_envoy_ratelimited_header: true, rate_limited_status: { code: 'ServiceUnavailable' } })]),
      httpListener('grpc', hosts, edge, [filter({ rate_limited_as_resource_exhausted: true })]),
    ],
    clusters: [staticCluster('up', [upstream.port]), staticCluster('limits', [service.port], grpcCluster)],
  })
  const cases: readonly (readonly [listener: string, method: string, path: string, ...lines: string[]])[] = [
    ['plain', 'GET', '/'],
    ['plain', 'GET', '/', 'x-user: ann'],
    ['plain', 'GET', '/', 'x-user: limited'],
    ['plain', 'GET', '/own/1', 'x-user: ann'],
    ['plain', 'GET', '/own/1'],
    ['plain', 'GET', '/both', 'x-user: ann'],
    ['plain', 'GET', '/masked'],
    ['plain', 'GET', '/match'],
    ['plain', 'POST', '/match'],
    ['plain', 'GET', '/query?q=abc'],
    ['plain', 'GET', '/query?q=xyz'],
    ['plain', 'GET', '/query'],
    ['plain', 'GET', '/ignored'],
    ['plain', 'GET', '/direct'],
    ['stage', 'GET', '/own/1'],
    ['stage', 'GET', '/'],
    ['closed', 'GET', '/', 'x-user: broken'],
    ['closed and hasty', 'GET', '/', 'x-user: silent'],
    ['closed', 'GET', '/', 'x-user: ann'],
    ['open', 'GET', '/', 'x-user: broken'],
    ['open and hasty', 'GET', '/', 'x-user: silent'],
    ['quota', 'GET', '/', 'x-user: ann'],
    ['quota', 'GET', '/', 'x-user: limited'],
    ['grpc', 'POST', '/', 'x-user: limited', 'content-type: application/grpc'],
    ['plain', 'POST', '/', 'x-user: limited', 'content-type: application/grpc'],
  ]
  const told = ['x-envoy-ratelimited', 'x-from-service', 'x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset', 'grpc-status', 'grpc-message']
  const differences: string[] = []
  let asked = 0
  for (const [listener, method, path, ...lines] of cases) {
    const bytes = `${method} ${path} HTTP/1.1\r\nHost: a.example\r\n${method === 'POST' ? 'content-length: 0\r\n' : ''}${lines.map((line) => `${line}\r\n`).join('')}\r\n`
    const outcome = async (engine: typeof envoy): Promise<string> => {
      service.asked.length = 0
      const answer = await sendRaw(engine.port(listener), bytes, method, 120_000)
      asked += service.asked.length
      return JSON.stringify([answer.status, answer.body, told.map((name) => answer.headers[name] ?? ''), service.asked])
    }
    const theirs = await outcome(envoy)
    const ours = await outcome(weft)
    if (theirs !== ours) differences.push(`${listener} ${method} ${path} ${lines.join(' ')}\n  envoy ${theirs}\n  weft  ${ours}`)
  }
  assert.deepEqual(differences, [])
  assert.ok(asked > cases.length, 'the service was asked')
})
