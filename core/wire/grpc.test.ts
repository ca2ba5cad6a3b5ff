import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { create, type MessageShape } from '@bufbuild/protobuf'
import * as grpc from '@grpc/grpc-js'
import { packAny, unpackAny } from './any.ts'
import { ClusterSchema } from './gen/envoy/config/cluster/v3/cluster_pb.ts'
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from './gen/envoy/service/discovery/v3/discovery_pb.ts'
import { IstioCertificateRequestSchema, type IstioCertificateRequest, type IstioCertificateResponse, IstioCertificateResponseSchema } from './gen/istio/v1/auth/ca_pb.ts'
import { encodeCanonical } from './encode.ts'
import { ads, bytesCodec, cds, csds, defineMethod, defineTypedMethod, eds, istioCa, lds, messageCodec, rds, sds, srds, vhds } from './grpc.ts'
import { CLUSTER } from './type-url.ts'

const asBuffer = (bytes: Uint8Array<ArrayBuffer>): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const sign = defineTypedMethod(istioCa.createCertificate, asBuffer)
const delta = defineTypedMethod(ads.deltaAggregatedResources, asBuffer)
// A server that encodes a response once and sends it to many.
const deltaServer = defineMethod(ads.deltaAggregatedResources, messageCodec(DeltaDiscoveryRequestSchema, asBuffer), bytesCodec<Buffer>())

const server = new grpc.Server()
let client: grpc.Client

before(async () => {
  server.addService({ createCertificate: sign }, {
    createCertificate: (call: grpc.ServerUnaryCall<IstioCertificateRequest, IstioCertificateResponse>, reply: grpc.sendUnaryData<IstioCertificateResponse>) =>
      reply(null, create(IstioCertificateResponseSchema, { certChain: [`leaf for ${call.request.csr}`, 'root'] })),
  })
  server.addService({ delta: deltaServer }, {
    delta: (call: grpc.ServerDuplexStream<DeltaDiscoveryRequest, Buffer>) => {
      call.on('data', (request: DeltaDiscoveryRequest) => {
        const resources = request.resourceNamesSubscribe.map((name) => ({ name, version: '1', resource: packAny(ClusterSchema, create(ClusterSchema, { name })) }))
        const response = create(DeltaDiscoveryResponseSchema, { typeUrl: request.typeUrl, nonce: 'n1', resources })
        call.write(asBuffer(encodeCanonical(DeltaDiscoveryResponseSchema, response)))
      })
      call.on('end', () => call.end())
    },
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound)))
  })
  client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure())
})

after(() => {
  client.close()
  server.forceShutdown()
})

test('a certificate request passes a real gRPC server and client', async () => {
  const response = await new Promise<MessageShape<typeof IstioCertificateResponseSchema> | undefined>((resolve, reject) => {
    const request = create(IstioCertificateRequestSchema, { csr: 'PEM', validityDuration: 3600n })
    client.makeUnaryRequest(sign.path, sign.requestSerialize, sign.responseDeserialize, request, (error, value) => (error ? reject(error) : resolve(value)))
  })
  assert.deepEqual(response?.certChain, ['leaf for PEM', 'root'])
})

test('a client with messages reads what a server with bytes sends', async () => {
  const call = client.makeBidiStreamRequest(delta.path, delta.requestSerialize, delta.responseDeserialize)
  const answer = new Promise<DeltaDiscoveryResponse>((resolve, reject) => {
    call.once('data', resolve)
    call.once('error', reject)
  })
  const ended = new Promise((resolve) => call.once('end', resolve))
  call.write(create(DeltaDiscoveryRequestSchema, { typeUrl: CLUSTER, resourceNamesSubscribe: ['a', 'b'] }))
  const response = await answer
  call.end()
  await ended
  assert.deepEqual(response.resources.map(({ resource }) => unpackAny(resource, ClusterSchema)?.name), ['a', 'b'])
})

test('methods lie where Envoy and Istio look for them', () => {
  const paths = [ads, lds, rds, vhds, srds, cds, eds, sds, csds, istioCa].flatMap((service) =>
    Object.values(service).map(({ path, requestStream, responseStream }) => `${requestStream ? 'stream' : 'one'} → ${responseStream ? 'stream' : 'one'} ${path}`),
  )
  assert.deepEqual(paths, [
    'stream → stream /envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources',
    'stream → stream /envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
    'stream → stream /envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners',
    'stream → stream /envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners',
    'one → one /envoy.service.listener.v3.ListenerDiscoveryService/FetchListeners',
    'stream → stream /envoy.service.route.v3.RouteDiscoveryService/StreamRoutes',
    'stream → stream /envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes',
    'one → one /envoy.service.route.v3.RouteDiscoveryService/FetchRoutes',
    'stream → stream /envoy.service.route.v3.VirtualHostDiscoveryService/DeltaVirtualHosts',
    'stream → stream /envoy.service.route.v3.ScopedRoutesDiscoveryService/StreamScopedRoutes',
    'stream → stream /envoy.service.route.v3.ScopedRoutesDiscoveryService/DeltaScopedRoutes',
    'one → one /envoy.service.route.v3.ScopedRoutesDiscoveryService/FetchScopedRoutes',
    'stream → stream /envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters',
    'stream → stream /envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters',
    'one → one /envoy.service.cluster.v3.ClusterDiscoveryService/FetchClusters',
    'stream → stream /envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints',
    'stream → stream /envoy.service.endpoint.v3.EndpointDiscoveryService/DeltaEndpoints',
    'one → one /envoy.service.endpoint.v3.EndpointDiscoveryService/FetchEndpoints',
    'stream → stream /envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets',
    'stream → stream /envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets',
    'one → one /envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets',
    'stream → stream /envoy.service.status.v3.ClientStatusDiscoveryService/StreamClientStatus',
    'one → one /envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus',
    'one → one /istio.v1.auth.IstioCertificateService/CreateCertificate',
  ])
})
