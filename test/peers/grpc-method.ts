import { type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf'
import { type MethodDefinition, Server, ServerCredentials } from '@grpc/grpc-js'
import type { TestContext } from 'node:test'

/** A method of a service, by the messages of core/wire. */
export const grpcMethod = <In extends DescMessage, Out extends DescMessage>(path: string, input: In, output: Out, requestStream: boolean): MethodDefinition<MessageShape<In>, MessageShape<Out>> => ({
  path,
  requestStream,
  responseStream: false,
  requestSerialize: (one) => Buffer.from(toBinary(input, one)),
  requestDeserialize: (bytes) => fromBinary(input, bytes),
  responseSerialize: (one) => Buffer.from(toBinary(output, one)),
  responseDeserialize: (bytes) => fromBinary(output, bytes),
})

/** A message that says nothing. */
export const emptyMessage = <Out extends DescMessage>(output: Out): MessageShape<Out> => fromBinary(output, new Uint8Array())

/** A server of gRPC's own library, which ends with the test: its port. */
export async function grpcServer(t: TestContext, add: (server: Server) => void): Promise<number> {
  const server = new Server()
  add(server)
  const port = await new Promise<number>((resolve, reject) => server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error === null ? resolve(bound) : reject(error))))
  t.after(() => server.forceShutdown())
  return port
}
