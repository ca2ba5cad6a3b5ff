import { type DescMessage, type DescMethod, type DescService, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf'
import { ClusterDiscoveryService } from './gen/envoy/service/cluster/v3/cds_pb.ts'
import { AggregatedDiscoveryService } from './gen/envoy/service/discovery/v3/ads_pb.ts'
import { DiscoveryRequestSchema, DiscoveryResponseSchema } from './gen/envoy/service/discovery/v3/discovery_pb.ts'
import { EndpointDiscoveryService } from './gen/envoy/service/endpoint/v3/eds_pb.ts'
import { ExtensionConfigDiscoveryService } from './gen/envoy/service/extension/v3/config_discovery_pb.ts'
import { ListenerDiscoveryService } from './gen/envoy/service/listener/v3/lds_pb.ts'
import { RouteDiscoveryService, VirtualHostDiscoveryService } from './gen/envoy/service/route/v3/rds_pb.ts'
import { ScopedRoutesDiscoveryService } from './gen/envoy/service/route/v3/srds_pb.ts'
import { RuntimeDiscoveryService } from './gen/envoy/service/runtime/v3/rtds_pb.ts'
import { SecretDiscoveryService } from './gen/envoy/service/secret/v3/sds_pb.ts'
import { ClientStatusDiscoveryService } from './gen/envoy/service/status/v3/csds_pb.ts'
import { IstioCertificateService } from './gen/istio/v1/auth/ca_pb.ts'

/** A remote method as data: where it is, which sides stream, what goes in and out. */
export type RpcMethod<In extends DescMessage = DescMessage, Out extends DescMessage = DescMessage> = {
  readonly path: string
  readonly requestStream: boolean
  readonly responseStream: boolean
  readonly input: In
  readonly output: Out
}

/** Between what a program holds and what a frame carries. `Bytes` is Buffer for @grpc/grpc-js. */
export type Codec<T, Bytes extends Uint8Array> = {
  readonly serialize: (value: T) => Bytes
  readonly deserialize: (bytes: Bytes) => T
}

/** What @grpc/grpc-js calls a MethodDefinition, for clients and servers alike. */
export type MethodDefinition<Request, Response, Bytes extends Uint8Array> = {
  readonly path: string
  readonly requestStream: boolean
  readonly responseStream: boolean
  readonly requestSerialize: (value: Request) => Bytes
  readonly requestDeserialize: (bytes: Bytes) => Request
  readonly responseSerialize: (value: Response) => Bytes
  readonly responseDeserialize: (bytes: Bytes) => Response
}

/**
 * Messages on our side, bytes on the other.
 * @param wrap makes the runtime's own kind of bytes without a copy: `(b) => Buffer.from(b.buffer, b.byteOffset, b.byteLength)`
 */
export function messageCodec<Desc extends DescMessage, Bytes extends Uint8Array>(
  schema: Desc,
  wrap: (bytes: Uint8Array<ArrayBuffer>) => Bytes,
): Codec<MessageShape<Desc>, Bytes> {
  return {
    serialize: (message) => wrap(toBinary(schema, message)),
    deserialize: (bytes) => fromBinary(schema, bytes),
  }
}

/** Bytes on both sides, for who encodes once and sends often, or decodes on his own terms. */
export function bytesCodec<Bytes extends Uint8Array>(): Codec<Bytes, Bytes> {
  return { serialize: (bytes) => bytes, deserialize: (bytes) => bytes }
}

/** A method with the codec for each direction; the two may differ. */
export function defineMethod<Request, Response, Bytes extends Uint8Array>(
  method: RpcMethod,
  request: Codec<Request, Bytes>,
  response: Codec<Response, Bytes>,
): MethodDefinition<Request, Response, Bytes> {
  return {
    path: method.path,
    requestStream: method.requestStream,
    responseStream: method.responseStream,
    requestSerialize: request.serialize,
    requestDeserialize: request.deserialize,
    responseSerialize: response.serialize,
    responseDeserialize: response.deserialize,
  }
}

/** A method with messages both ways, the common case. `wrap` as in messageCodec. */
export function defineTypedMethod<In extends DescMessage, Out extends DescMessage, Bytes extends Uint8Array>(
  method: RpcMethod<In, Out>,
  wrap: (bytes: Uint8Array<ArrayBuffer>) => Bytes,
): MethodDefinition<MessageShape<In>, MessageShape<Out>, Bytes> {
  return defineMethod(method, messageCodec(method.input, wrap), messageCodec(method.output, wrap))
}

type Methods<Service extends DescService> = {
  readonly [Name in keyof Service['method']]: RpcMethod<Service['method'][Name]['input'], Service['method'][Name]['output']>
}

/** The methods of a generated service, by their names in lower camel case. */
export function methodsOf<Service extends DescService>(service: Service): Methods<Service> {
  const entries = service.methods.map((method) => [method.localName, rpcMethod(method)])
  return Object.fromEntries(entries)
}

function rpcMethod(method: DescMethod): RpcMethod {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
    responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
    input: method.input,
    output: method.output,
  }
}

/** All types on one stream, in both variants of the protocol. */
export const ads = methodsOf(AggregatedDiscoveryService)
export const lds = methodsOf(ListenerDiscoveryService)
export const rds = methodsOf(RouteDiscoveryService)
/** Only the incremental variant exists: virtual hosts are fetched as they are asked for. */
export const vhds = methodsOf(VirtualHostDiscoveryService)
export const srds = methodsOf(ScopedRoutesDiscoveryService)
export const cds = methodsOf(ClusterDiscoveryService)
export const eds = methodsOf(EndpointDiscoveryService)
export const sds = methodsOf(SecretDiscoveryService)
/** Filter configurations by name. */
export const ecds = methodsOf(ExtensionConfigDiscoveryService)
/** Layers of an Envoy's runtime. */
export const rtds = methodsOf(RuntimeDiscoveryService)
/** What clients have taken of what they were sent. */
export const csds = methodsOf(ClientStatusDiscoveryService)
/** What an agent asks to sign its key. */
export const istioCa = methodsOf(IstioCertificateService)
/** What an agent starts its proxy with, asked for once, in the manner of the unary forms of discovery: a node goes in, one `istio.mesh.v1alpha1.ProxyConfig` comes out. */
export const fetchProxyConfig: RpcMethod<typeof DiscoveryRequestSchema, typeof DiscoveryResponseSchema> = {
  path: '/weft.discovery.v1.ProxyConfigDiscoveryService/FetchProxyConfig',
  requestStream: false,
  responseStream: false,
  input: DiscoveryRequestSchema,
  output: DiscoveryResponseSchema,
}
