import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject, JsonValue } from '@bufbuild/protobuf'
import { writeProxyHeader } from '#proxy/tcp/proxy-header.ts'
import { httpServer, netServer, speak } from '#proxy/testing/peers.ts'
import { httpListener, startTwins, staticCluster } from './twins.ts'

const type = 'type.googleapis.com/envoy.extensions'
const CLIENT = { source: { address: '198.51.100.7', port: 51_000 }, destination: { address: '192.0.2.1', port: 443 } }
const GET = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

const behindBalancer = (listener: JsonValue, over: JsonObject = {}): JsonValue => ({
  ...(listener as JsonObject),
  listener_filters: [{ name: 'envoy.filters.listener.proxy_protocol', typed_config: { '@type': `${type}.filters.listener.proxy_protocol.v3.ProxyProtocol`, ...over } }],
})
const rbac = (identifier: string): JsonValue => ({
  name: 'envoy.filters.http.rbac',
  typed_config: { '@type': `${type}.filters.http.rbac.v3.RBAC`, rules: { action: 'ALLOW', policies: { one: { permissions: [{ any: true }], principals: [{ [identifier]: { address_prefix: '198.51.100.0', prefix_len: 24 } }] } } } },
})
const tcpListener = (name: string, cluster: string): JsonValue => ({
  name,
  address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
  filter_chains: [{ filters: [{ name: 'envoy.filters.network.tcp_proxy', typed_config: { '@type': `${type}.filters.network.tcp_proxy.v3.TcpProxy`, stat_prefix: name, cluster } }] }],
})
const speaking = (version: string): JsonObject => ({
  transport_socket: {
    name: 'envoy.transport_sockets.upstream_proxy_protocol',
    typed_config: {
      '@type': `${type}.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport`,
      config: { version },
      transport_socket: { name: 'envoy.transport_sockets.raw_buffer', typed_config: { '@type': `${type}.transport_sockets.raw_buffer.v3.RawBuffer` } },
    },
  },
})

test('Weft and Envoy take the PROXY protocol alike, and send it alike', async (t) => {
  const upstream = await httpServer(t, (request, response) => response.end(String(request.headers['x-forwarded-for'])))
  const first = await netServer(t, (socket) => {
    let heard = ''
    socket.on('data', (bytes: Buffer) => {
      heard += bytes.toString('hex')
      // The header may come alone.
      if (heard.endsWith(Buffer.from('hello').toString('hex'))) socket.end(heard)
    })
  })
  const all: JsonValue = [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'up' } }] }]
  const edge = { use_remote_address: true }
  const twins = await startTwins(t, {
    listeners: [
      behindBalancer(httpListener('edge', all, edge)),
      behindBalancer(httpListener('optional', all, edge), { allow_requests_without_proxy_protocol: true }),
      behindBalancer(httpListener('second', all, edge), { disallowed_versions: ['V1'] }),
      behindBalancer(httpListener('client', all, edge, [rbac('remote_ip')])),
      behindBalancer(httpListener('caller', all, edge, [rbac('direct_remote_ip')])),
      behindBalancer(tcpListener('to-v1', 'v1')),
      behindBalancer(tcpListener('to-v2', 'v2')),
    ],
    clusters: [staticCluster('up', [upstream.port]), staticCluster('v1', [first.port], speaking('V1')), staticCluster('v2', [first.port], speaking('V2'))],
  })
  const header = (version: 1 | 2, addresses = CLIENT): string => writeProxyHeader(version, addresses).toString('latin1')
  const calls: readonly (readonly [string, string, string, string])[] = [
    ['edge', 'version 1', header(1) + GET, '200 198.51.100.7'],
    ['edge', 'version 2', header(2) + GET, '200 198.51.100.7'],
    ['edge', 'version 2 with a TLV', Buffer.concat([writeProxyHeader(2, CLIENT).subarray(0, 14), Buffer.from([0, 16]), writeProxyHeader(2, CLIENT).subarray(16), Buffer.from([4, 0, 1, 7])]).toString('latin1') + GET, '200 198.51.100.7'],
    ['edge', 'IPv6', header(2, { source: { address: '2001:db8::1', port: 1 }, destination: { address: '2001:db8::2', port: 2 } }) + GET, '200 2001:db8::1'],
    ['edge', 'none', GET, ''],
    ['edge', 'nonsense', `PROXY TCP4 nonsense\r\n${GET}`, ''],
    ['optional', 'none', GET, '200 own'],
    ['optional', 'version 1', header(1) + GET, '200 198.51.100.7'],
    ['second', 'version 1', header(1) + GET, ''],
    ['second', 'version 2', header(2) + GET, '200 198.51.100.7'],
    ['client', 'version 1', header(1) + GET, '200 198.51.100.7'],
    ['caller', 'version 1', header(1) + GET, '403 RBAC: access denied'],
    ['to-v1', 'bytes', `${header(2)}hello`, `${header(1)}hello`],
    ['to-v2', 'bytes', `${header(1)}hello`, `${header(2)}hello`],
  ]
  for (const engine of [twins.envoy, twins.weft]) {
    for (const [listener, name, bytes, expected] of calls) {
      const answer = await speak(engine.port(listener), bytes).catch(() => '')
      const status = /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]
      // Each names itself where no balancer speaks, by an address of its own.
      const said = status === undefined ? Buffer.from(answer, 'hex').toString('latin1') : `${status} ${(answer.split('\r\n\r\n')[1] ?? '').replace(/^(?!198\.|2001:|RBAC)[\d.]+$/, 'own')}`
      assert.equal(said, expected, `${engine.name}: ${listener}, ${name}`)
    }
  }
})
