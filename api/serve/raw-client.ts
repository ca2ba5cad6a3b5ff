import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { type ChannelCredentials, Client, type ClientDuplexStream, credentials, Metadata, type StatusObject } from '@grpc/grpc-js'
import { type Node, NodeSchema } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
} from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { ads, bytesCodec, defineMethod } from '#core/wire/grpc.ts'
import { StatusSchema } from '#core/wire/gen/google/rpc/status_pb.ts'

/** A client that speaks discovery messages itself and does nothing unasked: for tests of the rules, and for benches. */
export class RawClient {
  readonly #client: Client
  readonly #calls: RawStream<unknown>[] = []

  constructor(address: string, channel: ChannelCredentials = credentials.createInsecure()) {
    // Node refuses an IP address as the name in a TLS greeting, which is what grpc-js would put there.
    this.#client = new Client(address, channel, {
      'grpc.max_receive_message_length': 4 << 20,
      'grpc.use_local_subchannel_pool': 1,
      ...(channel._isSecure() ? { 'grpc.ssl_target_name_override': 'localhost' } : {}),
    })
  }

  delta(options: StreamOptions = {}): DeltaStream {
    return this.#keep(new DeltaStream(this.#open(options.path ?? ads.deltaAggregatedResources.path, options.bearer)))
  }

  sotw(options: StreamOptions = {}): SotwStream {
    return this.#keep(new SotwStream(this.#open(options.path ?? ads.streamAggregatedResources.path, options.bearer)))
  }

  close(): void {
    for (const call of this.#calls) call.cancel()
    this.#client.close()
  }

  #keep<T extends RawStream<unknown>>(stream: T): T {
    this.#calls.push(stream)
    return stream
  }

  #open(path: string, bearer: string | undefined): ClientDuplexStream<Buffer, Buffer> {
    const { requestSerialize, responseDeserialize } = defineMethod(
      { ...ads.deltaAggregatedResources, path },
      bytesCodec<Buffer>(),
      bytesCodec<Buffer>(),
    )
    const metadata = new Metadata()
    if (bearer !== undefined) metadata.set('authorization', `Bearer ${bearer}`)
    return this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata)
  }
}

export interface StreamOptions {
  /** Another method than ADS. */
  readonly path?: string
  readonly bearer?: string
}

export const nodeNamed = (id: string, metadata: Node['metadata'] = {}): Node => create(NodeSchema, { id, metadata, userAgentName: 'raw' })

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

class RawStream<Response> {
  readonly received: Response[] = []
  readonly #call: ClientDuplexStream<Buffer, Buffer>
  #taken = 0
  #waiting: (() => void)[] = []
  #ended: StatusObject | undefined

  constructor(call: ClientDuplexStream<Buffer, Buffer>, read: (bytes: Buffer) => Response) {
    this.#call = call
    call.on('data', (bytes: Buffer) => {
      this.received.push(read(bytes))
      this.#stir()
    })
    call.on('status', (status: StatusObject) => {
      this.#ended = status
      this.#stir()
    })
    call.on('error', () => {
      // Told by the status as well, which tests look at.
    })
  }

  /** The next response not taken yet. Rejects when the stream has ended. */
  async next(): Promise<Response> {
    for (;;) {
      const response = this.received[this.#taken]
      if (response !== undefined) {
        this.#taken += 1
        return response
      }
      if (this.#ended) throw new Error(`the stream ended with ${this.#ended.code}: ${this.#ended.details}`)
      await this.#stirred()
    }
  }

  /** Lets go of the responses that were taken. */
  forgetTaken(): void {
    this.received.splice(0, this.#taken)
    this.#taken = 0
  }

  /** Responses that came and were not taken. */
  get unread(): number {
    return this.received.length - this.#taken
  }

  async status(): Promise<StatusObject> {
    while (!this.#ended) await this.#stirred()
    return this.#ended
  }

  /** Stops reading: what the server writes waits. */
  pause(): void {
    this.#call.pause()
  }

  resume(): void {
    this.#call.resume()
  }

  end(): void {
    this.#call.end()
  }

  cancel(): void {
    this.#call.cancel()
  }

  protected write(bytes: Uint8Array): void {
    this.#call.write(asBuffer(bytes))
  }

  #stirred(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #stir(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}

export interface DeltaAsk {
  readonly node?: Node
  readonly type: string
  readonly subscribe?: string[]
  readonly unsubscribe?: string[]
  readonly held?: Record<string, string>
  readonly nonce?: string
  readonly error?: string
}

export class DeltaStream extends RawStream<DeltaDiscoveryResponse> {
  constructor(call: ClientDuplexStream<Buffer, Buffer>) {
    super(call, (bytes) => fromBinary(DeltaDiscoveryResponseSchema, bytes))
  }

  ask(ask: DeltaAsk): void {
    this.write(
      toBinary(
        DeltaDiscoveryRequestSchema,
        create(DeltaDiscoveryRequestSchema, {
          ...(ask.node ? { node: ask.node } : {}),
          typeUrl: ask.type,
          resourceNamesSubscribe: ask.subscribe ?? [],
          resourceNamesUnsubscribe: ask.unsubscribe ?? [],
          initialResourceVersions: ask.held ?? {},
          responseNonce: ask.nonce ?? '',
          ...(ask.error === undefined ? {} : { errorDetail: create(StatusSchema, { code: 3, message: ask.error }) }),
        }),
      ),
    )
  }

  ack(response: DeltaDiscoveryResponse): void {
    this.ask({ type: response.typeUrl, nonce: response.nonce })
  }

  nack(response: DeltaDiscoveryResponse, error: string): void {
    this.ask({ type: response.typeUrl, nonce: response.nonce, error })
  }

  /** Takes the next response and acknowledges it. */
  async take(): Promise<DeltaDiscoveryResponse> {
    const response = await this.next()
    this.ack(response)
    return response
  }
}

export interface SotwAsk {
  readonly node?: Node
  readonly type: string
  readonly names?: string[]
  readonly version?: string
  readonly nonce?: string
  readonly error?: string
}

export class SotwStream extends RawStream<DiscoveryResponse> {
  constructor(call: ClientDuplexStream<Buffer, Buffer>) {
    super(call, (bytes) => fromBinary(DiscoveryResponseSchema, bytes))
  }

  ask(ask: SotwAsk): void {
    this.write(
      toBinary(
        DiscoveryRequestSchema,
        create(DiscoveryRequestSchema, {
          ...(ask.node ? { node: ask.node } : {}),
          typeUrl: ask.type,
          resourceNames: ask.names ?? [],
          versionInfo: ask.version ?? '',
          responseNonce: ask.nonce ?? '',
          ...(ask.error === undefined ? {} : { errorDetail: create(StatusSchema, { code: 3, message: ask.error }) }),
        }),
      ),
    )
  }

  ack(response: DiscoveryResponse, names: string[] = []): void {
    this.ask({ type: response.typeUrl, nonce: response.nonce, version: response.versionInfo, names })
  }
}
