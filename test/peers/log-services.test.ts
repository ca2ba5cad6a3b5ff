import assert from 'node:assert/strict'
import http2 from 'node:http2'
import net from 'node:net'
import { test, type TestContext } from 'node:test'
import type { JsonValue, MessageShape } from '@bufbuild/protobuf'
import { anyUnpack, StringValueSchema } from '@bufbuild/protobuf/wkt'
import type { ServerReadableStream, ServerUnaryCall } from '@grpc/grpc-js'
import { accessLogs } from '#api/translate/access-log.ts'
import { reportingOf } from '#api/translate/reporting.ts'
import { meshOf, nodeFrom, objectsIn } from '#api/translate/testing/mesh-case.ts'
import { messageToJson } from '#core/wire/registry.ts'
import type { AccessLogCommon, HTTPAccessLogEntry, TCPAccessLogEntry } from '#core/wire/gen/envoy/data/accesslog/v3/accesslog_pb.ts'
import { AccessLogSchema } from '#core/wire/gen/envoy/config/accesslog/v3/accesslog_pb.ts'
import { StreamAccessLogsMessageSchema, StreamAccessLogsResponseSchema } from '#core/wire/gen/envoy/service/accesslog/v3/als_pb.ts'
import { ExportLogsServiceRequestSchema, ExportLogsServiceResponseSchema } from '#core/wire/gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.ts'
import type { KeyValue } from '#core/wire/gen/opentelemetry/proto/common/v1/common_pb.ts'
import { ENVOY_VERSIONS } from '#infra/parts/envoy.ts'
import { netServer } from '#proxy/testing/peers.ts'
import { send, until } from '../mesh/shop.ts'
import { emptyMessage, grpcMethod, grpcServer } from './grpc-method.ts'
import { httpListener, type Resources, startEnvoy, startWeft, staticCluster } from './twins.ts'

const MESH = `
apiVersion: weft.dev/v1
kind: MeshConfig
metadata: { name: default }
spec:
  defaultProviders: { accessLogging: [ otlp, otlp-plain, requests, connections ] }
  extensionProviders:
  - { name: otlp, envoyOtelAls: { service: observe/collector.observe.svc.cluster.local, port: 4317, logName: own-otlp, logFormat: { text: "asked %REQ(:PATH)% told %RESPONSE_CODE%", labels: { who: "%REQ(X-USER)%", of: "%PROTOCOL%" } } } }
  - { name: otlp-plain, envoyOtelAls: { service: observe/collector.observe.svc.cluster.local, port: 4317 } }
  - { name: requests, envoyHttpAls: { service: collector.observe.svc.cluster.local, port: 4317, logName: own-requests, filterStateObjectsToLog: [ a.state ], additionalRequestHeadersToLog: [ X-User ], additionalResponseHeadersToLog: [ X-Said ], additionalResponseTrailersToLog: [ x-late ] } }
  - { name: connections, envoyTcpAls: { service: collector.observe.svc.cluster.local, port: 4317, logName: own-connections, filterStateObjectsToLog: [ a.state ] } }
---
apiVersion: v1
kind: Service
metadata: { name: collector, namespace: observe }
spec: { selector: { app: collector }, ports: [ { name: grpc, port: 4317, targetPort: 4317 } ] }
`
const CLUSTER = 'outbound|4317||collector.observe.svc.cluster.local'
const HTTP2 = { typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions', explicit_http_config: { http2_protocol_options: {} } } } }

/** What translation makes of the mesh for a proxy of the engine, as JSON of Envoy's API. */
function logsFor(engine: 'weft' | 'envoy', of: 'http' | 'tcp'): JsonValue[] {
  const { model } = meshOf(objectsIn(MESH), [])
  const { clients } = reportingOf(model.read(() => undefined), nodeFrom({ name: 'client', namespace: 'prod', engine }), false)
  return accessLogs(clients?.log, of).map((one) => messageToJson(AccessLogSchema, one, 'proto'))
}

/** `stateful`: it has filter state, which only Envoy can. */
function resourcesFor(engine: 'weft' | 'envoy', ports: { readonly collector: number; readonly http: number; readonly tcp: number }): Resources {
  const state = {
    name: 'state',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config',
      on_request_headers: [{ object_key: 'a.state', factory_key: 'envoy.string', format_string: { text_format_source: { inline_string: 'state-told' } } }],
    },
  }
  const connectionState = {
    name: 'state',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.network.set_filter_state.v3.Config',
      on_new_connection: [{ object_key: 'a.state', factory_key: 'envoy.string', format_string: { text_format_source: { inline_string: 'state-told' } } }],
    },
  }
  const http = httpListener('http', [{ name: 'all', domains: ['*'], routes: [{ name: 'the-route', match: { prefix: '/' }, route: { cluster: 'up' } }] }], { access_log: logsFor(engine, 'http') }, engine === 'envoy' ? [state] : [])
  const tcpProxy = { name: 'envoy.filters.network.tcp_proxy', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', stat_prefix: 'tcp', cluster: 'up-tcp', access_log: logsFor(engine, 'tcp') } }
  const tcp = { name: 'tcp', address: { socket_address: { address: '127.0.0.1', port_value: 0 } }, filter_chains: [{ filters: [...(engine === 'envoy' ? [connectionState] : []), tcpProxy] }] }
  return { listeners: [http, tcp], clusters: [staticCluster('up', [ports.http], HTTP2), staticCluster('up-tcp', [ports.tcp]), staticCluster(CLUSTER, [ports.collector], HTTP2)] }
}

interface Received {
  readonly otlp: MessageShape<typeof ExportLogsServiceRequestSchema>[]
  readonly als: MessageShape<typeof StreamAccessLogsMessageSchema>[]
}

/** The real services, by gRPC's own library. */
async function collector(t: TestContext): Promise<{ readonly port: number; readonly received: Received }> {
  const received: Received = { otlp: [], als: [] }
  const port = await grpcServer(t, (server) => {
    server.addService(
      { export: grpcMethod('/opentelemetry.proto.collector.logs.v1.LogsService/Export', ExportLogsServiceRequestSchema, ExportLogsServiceResponseSchema, false) },
      {
        export: (call: ServerUnaryCall<Received['otlp'][number], unknown>, done: (error: null, value: unknown) => void) => {
          received.otlp.push(call.request)
          done(null, emptyMessage(ExportLogsServiceResponseSchema))
        },
      },
    )
    server.addService(
      { stream: grpcMethod('/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs', StreamAccessLogsMessageSchema, StreamAccessLogsResponseSchema, true) },
      {
        stream: (call: ServerReadableStream<Received['als'][number], unknown>, done: (error: null, value: unknown) => void) => {
          // Envoy says who it is and of which log at the begin of a stream.
          let identifier: Received['als'][number]['identifier']
          call.on('data', (message: Received['als'][number]) => {
            identifier = message.identifier ?? identifier
            received.als.push({ ...message, ...(identifier === undefined ? {} : { identifier }) })
          })
          call.on('error', () => undefined)
          call.on('end', () => done(null, emptyMessage(StreamAccessLogsResponseSchema)))
        },
      },
    )
  })
  return { port, received }
}

/** Answers with a header, and with a trailer. */
async function upstream(t: TestContext): Promise<number> {
  const server = http2.createServer((_request, response) => {
    response.setHeader('x-said', 'upstream-said')
    response.addTrailers({ 'x-late': 'upstream-late' })
    response.end('hello')
  })
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => void sockets.add(socket))
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  t.after(() => {
    for (const one of sockets) one.destroy()
    server.close()
  })
  return (server.address() as net.AddressInfo).port
}

const textsOf = (attributes: readonly KeyValue[] | undefined): Record<string, string> => Object.fromEntries((attributes ?? []).map(({ key, value }) => [key, value?.value.case === 'stringValue' ? value.value.value : '']))

function otlpRecords({ otlp }: Received, logName: string): { readonly body?: unknown; readonly [attribute: string]: unknown }[] {
  return otlp.flatMap(({ resourceLogs }) =>
    resourceLogs.filter(({ resource }) => textsOf(resource?.attributes)['log_name'] === logName).flatMap((one) => one.instrumentationLibraryLogs.flatMap(({ logs }) => logs.map(({ body, attributes }) => ({ body: body?.value.value, ...textsOf(attributes) })))),
  )
}

const entriesOf = <Case extends 'httpLogs' | 'tcpLogs'>({ als }: Received, kind: Case, logName: string): (Case extends 'httpLogs' ? HTTPAccessLogEntry : TCPAccessLogEntry)[] =>
  als.filter((one) => one.identifier?.logName === logName).flatMap((one) => (one.logEntries.case === kind ? (one.logEntries.value.logEntry as (Case extends 'httpLogs' ? HTTPAccessLogEntry : TCPAccessLogEntry)[]) : []))

function stateIn(common: AccessLogCommon | undefined): string | undefined {
  const any = common?.filterStateObjects['a.state']
  return any === undefined ? undefined : anyUnpack(any, StringValueSchema)?.value
}

const addressOf = (common: AccessLogCommon | undefined): unknown => (common?.upstreamRemoteAddress?.address.case === 'socketAddress' ? common.upstreamRemoteAddress.address.value.portSpecifier.value : undefined)

for (const engine of ['weft', ...ENVOY_VERSIONS] as const) {
  test(`services are told of requests and connections, whole and under their names, by ${engine === 'weft' ? 'the bundled proxy' : `Envoy ${engine}`}`, { timeout: 900_000 }, async (t) => {
    const { port, received } = await collector(t)
    const [http, tcp] = [await upstream(t), await netServer(t, (socket) => socket.once('data', () => socket.end('bytes back')))]
    const resources = resourcesFor(engine === 'weft' ? 'weft' : 'envoy', { collector: port, http, tcp: tcp.port })
    const { port: portOf } = engine === 'weft' ? (await startWeft(t, resources, () => undefined)).engine : await startEnvoy(t, resources, engine)
    const answer = await send(`127.0.0.1:${portOf('http')}`, { host: 'orders', path: '/one?a=b', headers: { 'x-user': 'alice', 'user-agent': 'tester' } })
    assert.equal(answer.status, 200)
    await new Promise<void>((done, failed) => {
      const socket = net.connect(portOf('tcp'), '127.0.0.1', () => socket.write('bytes'))
      socket.on('error', failed)
      socket.on('close', () => done())
      socket.resume()
    })

    await until('every log has what is said', () => otlpRecords(received, 'own-otlp').length >= 2 && otlpRecords(received, 'otel_envoy_accesslog').length >= 2 && entriesOf(received, 'httpLogs', 'own-requests').length >= 1 && entriesOf(received, 'tcpLogs', 'own-connections').length >= 1)
    const envoy = engine !== 'weft'
    const records = otlpRecords(received, 'own-otlp')
    assert.deepEqual(records.find((one) => one['who'] === 'alice'), { body: 'asked /one?a=b told 200', who: 'alice', of: 'HTTP/1.1' })
    assert.equal(records.length, 2)
    assert.match(String(otlpRecords(received, 'otel_envoy_accesslog').find((one) => String(one.body).includes('/one'))?.body), /^\[.*\] "GET \/one\?a=b HTTP\/1\.1" 200 - via_upstream - /)

    const [entry, ...moreEntries] = entriesOf(received, 'httpLogs', 'own-requests')
    assert.ok(entry !== undefined && moreEntries.length === 0, 'requests, and no connections, are told where requests are asked for')
    const { request: asked, response, commonProperties: common } = entry
    assert.deepEqual([asked?.authority, asked?.path, asked?.userAgent, asked?.requestMethod, asked?.scheme, asked?.requestHeaders], ['orders', '/one?a=b', 'tester', 1, 'http', { 'x-user': 'alice' }])
    assert.deepEqual([response?.responseCode, response?.responseBodyBytes, response?.responseHeaders, response?.responseTrailers, response?.responseCodeDetails], [200, 5n, { 'x-said': 'upstream-said' }, envoy ? { 'x-late': 'upstream-late' } : {}, 'via_upstream'])
    assert.deepEqual([common?.upstreamCluster, common?.routeName, addressOf(common), common?.upstreamRequestAttemptCount, common?.accessLogType, entry.protocolVersion], ['up', 'the-route', http, 1, 6, 2])
    assert.ok((common?.startTime?.seconds ?? 0n) > 1_700_000_000n && common?.duration !== undefined)
    assert.equal(stateIn(common), envoy ? 'state-told' : undefined)

    const [connection, ...moreConnections] = entriesOf(received, 'tcpLogs', 'own-connections')
    assert.ok(connection !== undefined && moreConnections.length === 0, 'connections, and no requests, are told where connections are asked for')
    assert.deepEqual([connection.connectionProperties?.receivedBytes, connection.connectionProperties?.sentBytes, connection.commonProperties?.upstreamCluster, addressOf(connection.commonProperties)], [5n, 10n, 'up-tcp', tcp.port])
    assert.equal(stateIn(connection.commonProperties), envoy ? 'state-told' : undefined)
  })
}
