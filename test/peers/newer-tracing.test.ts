import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, type MessageShape } from '@bufbuild/protobuf'
import type { ServerUnaryCall } from '@grpc/grpc-js'
import { reportingOf } from '#api/translate/reporting.ts'
import { tracingOf } from '#api/translate/spans.ts'
import { meshOf, nodeFrom, objectsIn } from '#api/translate/testing/mesh-case.ts'
import { HttpConnectionManager_TracingSchema } from '#core/wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { ExportTraceServiceRequestSchema, ExportTraceServiceResponseSchema } from '#core/wire/gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.ts'
import { messageToJson } from '#core/wire/registry.ts'
import { ENVOY_VERSIONS } from '#infra/parts/envoy.ts'
import { httpServer } from '#proxy/testing/peers.ts'
import { send, until } from '../mesh/shop.ts'
import { emptyMessage, grpcMethod, grpcServer } from './grpc-method.ts'
import { httpListener, startEnvoy, startWeft, staticCluster } from './twins.ts'

/** What the mesh says of its spans beside whose they are. */
interface Words {
  readonly keeps?: boolean
  readonly provider?: string
  readonly ownTags?: boolean
}

const meshWith = ({ keeps = false, provider = 'otel', ownTags = true }: Words): string => `
apiVersion: weft.dev/v1
kind: MeshConfig
metadata: { name: default }
spec:
  defaultConfig: { tracing: { enableIstioTags: ${ownTags} } }
  extensionProviders:
  - { name: otel, opentelemetry: { service: collector.observe.svc.cluster.local, port: 4317 } }
  - { name: otel-http, opentelemetry: { service: collector.observe.svc.cluster.local, port: 4318, http: { path: /own/traces } } }
  - { name: zipkin, zipkin: { service: collector.observe.svc.cluster.local, port: 4318, path: /own/spans } }
---
apiVersion: v1
kind: Service
metadata: { name: collector, namespace: observe }
spec: { selector: { app: collector }, ports: [ { name: grpc, port: 4317, targetPort: 4317 }, { name: http, port: 4318, targetPort: 4318 } ] }
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: default, namespace: prod }
spec:
  tracing: [ { providers: [ { name: ${provider} } ], randomSamplingPercentage: 100, disableContextPropagation: ${keeps}, customTags: { asked: { formatter: { value: "by %REQ(X-USER)%" } } } } ]
`
const CLUSTER = 'outbound|4317||collector.observe.svc.cluster.local'
const HTTP_CLUSTER = 'outbound|4318||collector.observe.svc.cluster.local'
const HTTP2 = { typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions', explicit_http_config: { http2_protocol_options: {} } } } }

type Export = MessageShape<typeof ExportTraceServiceRequestSchema>

for (const engine of ['weft', ...ENVOY_VERSIONS] as const) {
  // The oldest is not told of what it would refuse.
  const isNew = engine !== '1.36.4'
  test(`spans go to the paths that are said and bear tags by format and of Istio, and their context stays where it must${isNew ? '' : ', where the proxy can'}: ${engine === 'weft' ? 'the bundled proxy' : `Envoy ${engine}`}`, { timeout: 900_000 }, async (t) => {
    const received: Export[] = []
    const port = await grpcServer(t, (server) =>
      server.addService(
        { export: grpcMethod('/opentelemetry.proto.collector.trace.v1.TraceService/Export', ExportTraceServiceRequestSchema, ExportTraceServiceResponseSchema, false) },
        {
          export: (call: ServerUnaryCall<Export, unknown>, done: (error: null, value: unknown) => void) => {
            received.push(call.request)
            done(null, emptyMessage(ExportTraceServiceResponseSchema))
          },
        },
      ),
    )
    const paths = new Set<string>()
    const overHttp = await httpServer(t, (request, response) => {
      paths.add(request.url ?? '')
      request.resume()
      response.end()
    })
    const upstream = await httpServer(t, (request, response) => response.end(JSON.stringify(request.headers['traceparent'] ?? 'none')))
    const listenerFor = (name: string, words: Words) => {
      const { model } = meshOf(objectsIn(meshWith(words)), [])
      const node = nodeFrom({ name: 'client', namespace: 'prod', engine: engine === 'weft' ? 'weft' : 'envoy' })
      const { clients } = reportingOf(model.read(() => undefined), { ...node, version: engine === 'weft' ? '0.1.0' : engine }, false)
      const tracing = tracingOf({ endpoint: '', serviceName: 'client.prod' }, clients?.spans)
      assert.ok(tracing !== undefined)
      return httpListener(name, [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'up' } }] }], { tracing: messageToJson(HttpConnectionManager_TracingSchema, create(HttpConnectionManager_TracingSchema, tracing), 'proto') })
    }
    const resources = { listeners: [listenerFor('keeps', { keeps: true, ownTags: false }), listenerFor('passes', {}), listenerFor('otel-http', { provider: 'otel-http' }), listenerFor('zipkin', { provider: 'zipkin' })], clusters: [staticCluster('up', [upstream.port]), staticCluster(CLUSTER, [port], HTTP2), staticCluster(HTTP_CLUSTER, [overHttp.port])] }
    const { port: portOf } = engine === 'weft' ? (await startWeft(t, resources, () => undefined)).engine : await startEnvoy(t, resources, engine)
    const asked = async (listener: string, headers: Readonly<Record<string, string>>): Promise<string> => String(JSON.parse((await send(`127.0.0.1:${portOf(listener)}`, { host: 'orders', path: '/', headers: { 'x-user': listener, ...headers } })).body))
    const own = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    assert.match(await asked('passes', {}), /^00-/)
    assert.match(await asked('keeps', {}), isNew ? /^none$/ : /^00-/)
    // What the client sent is the client's.
    if (isNew) assert.equal(await asked('keeps', { traceparent: own }), own)
    for (const listener of ['otel-http', 'zipkin']) await asked(listener, {})

    const spans = () => received.flatMap(({ resourceSpans }) => resourceSpans.flatMap((one) => one.instrumentationLibrarySpans.flatMap((of) => of.spans.map(({ attributes }) => new Map(attributes.map(({ key, value }) => [key, value?.value.value] as const))))))
    await until('every request has its span', () => spans().length >= (isNew ? 3 : 2) && paths.size >= 2)
    assert.deepEqual([...paths].sort(), ['/own/spans', '/own/traces'])
    assert.deepEqual(spans().map((one) => one.get('asked') ?? 'untagged').sort(), isNew ? ['by keeps', 'by keeps', 'by passes'] : ['untagged', 'untagged'])
    assert.equal(spans().filter((one) => one.get('istio.namespace') === 'prod').length, 1, 'tags of Istio’s own, but where the mesh says none')
  })
}
