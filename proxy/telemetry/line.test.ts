import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requestFrom } from '#core/route/request.ts'
import { defaultTextFormat } from '#core/telemetry/access-log.ts'
import type { Facts } from './facts.ts'
import { compileFormat, renderFormat } from './format.ts'
import { compileLine } from './line.ts'

const isoOf = (wallMs: number): string => new Date(Math.floor(wallMs)).toISOString()

const facts = (nth: number): Facts => ({
  request: requestFrom({ method: ['GET', 'POST'][nth % 2] ?? '', authority: `shop-${nth % 5}.example:80`, path: `/orders/${nth}`, headers: nth % 3 === 0 ? {} : { 'user-agent': 'checkout/2' } }),
  peer: { address: `10.0.0.${nth % 7}`, port: 40_000 + (nth % 7) * 256 + (nth % 3), localAddress: '10.1.0.1', localPort: 8080, uriSans: nth % 4 === 0 ? [] : ['spiffe://cluster.local/ns/a/sa/b'], dnsSans: [], sni: nth % 2 === 0 ? '' : 'shop.example', tls: true },
  startWallMs: 1_700_000_000_000 + nth / 3,
  durationMs: nth * 37.4,
  status: [200, 200, 200, 503, 0][nth % 5] ?? 0,
  flags: nth % 5 === 3 ? 'UF,URX' : '',
  details: nth % 5 === 3 ? '' : 'via_upstream',
  requestBytes: nth % 2 === 0 ? 0 : nth * 1000,
  responseBytes: nth,
  routeName: ['', 'orders', 'carts'][nth % 3] ?? '',
  clusterName: `outbound|80||shop-${nth % 4}`,
  upstreamAddress: nth % 6 === 0 ? '' : `10.2.0.${nth % 9}:8080`,
  upstreamServiceMs: nth % 5 === 3 ? -1 : nth,
  upstreamFailure: '',
  requestId: nth % 8 === 0 ? '' : `id-${nth}`,
  attempts: 1 + (nth % 3),
  origin: undefined,
  policy: '',
  planRevision: 7,
  downstreamTlsVersion: nth % 2 === 0 ? '' : 'TLSv1.3',
  protocol: nth % 9 === 0 ? '' : 'HTTP/1.1',
  responseHeader: (name) => (name === 'x-up' ? `up-${nth}` : undefined),
})

const operators = ['START_TIME', 'REQ(:METHOD)', 'REQ(X-NONE?:PATH)', 'PROTOCOL', 'RESPONSE_CODE', 'RESPONSE_FLAGS', 'RESPONSE_CODE_DETAILS', 'BYTES_RECEIVED', 'BYTES_SENT', 'DURATION', 'RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)', 'RESP(X-UP)', 'REQ(USER-AGENT)', 'REQ(X-REQUEST-ID)', 'UPSTREAM_HOST', 'UPSTREAM_CLUSTER', 'ROUTE_NAME', 'UPSTREAM_REQUEST_ATTEMPT_COUNT', 'DOWNSTREAM_REMOTE_ADDRESS', 'DOWNSTREAM_LOCAL_ADDRESS', 'DOWNSTREAM_LOCAL_PORT', 'DOWNSTREAM_DIRECT_REMOTE_ADDRESS', 'DOWNSTREAM_PEER_URI_SAN', 'DOWNSTREAM_TLS_VERSION', 'REQUESTED_SERVER_NAME', 'HOSTNAME', 'NOBODY_KNOWS']
const formats = [
  defaultTextFormat,
  '',
  'no operator\n',
  '100%% %RESPONSE_CODE%%RESPONSE_FLAGS%%DURATION%',
  '%RESP(X-UP):3%%ROUTE_NAME:2%|%START_TIME%%START_TIME%',
  ...operators.flatMap((one) => [`%${one}%`, `[%${one}%] `]),
  ...operators.map((one, nth) => `<%${one}% %${operators[(nth * 5 + 3) % operators.length]}%%${operators[(nth * 7 + 1) % operators.length]}%, %${operators[(nth + 1) % operators.length]}%>`),
]

test('a compiled line says what its format says, whatever the lines before said', () => {
  const all = Array.from({ length: 90 }, (_, nth) => facts((nth * 31) % 90))
  for (const format of formats) {
    const line = compileLine(format)
    const parts = compileFormat(format, isoOf)
    for (const one of all) assert.equal(line(one), renderFormat(parts, one), format)
  }
})

test('one connection’s address is not told of another on a port like its own', () => {
  const line = compileLine('%DOWNSTREAM_REMOTE_ADDRESS%')
  const of = (port: number): Facts => ({ ...facts(1), peer: { ...facts(1).peer, port } })
  const first = of(40_000)
  assert.deepEqual([line(first), line(of(40_256)), line(first)], ['10.0.0.1:40000', '10.0.0.1:40256', '10.0.0.1:40000'])
})
