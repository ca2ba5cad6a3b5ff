import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { BinaryReader } from '@bufbuild/protobuf/wire'
import * as grpc from '@grpc/grpc-js'
import type { Clock } from '#core/time/clock.ts'
import { type DeltaDiscoveryRequest, DeltaDiscoveryRequestSchema, type DeltaDiscoveryResponse, DeltaDiscoveryResponseSchema } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { ads, bytesCodec, defineMethod } from '#core/wire/grpc.ts'
import { HEALTH_INFORMATION, NAME_TABLE } from '#core/wire/type-url.ts'
import { describeError, type Log } from '../admin/log.ts'
import { controlPlaneChannel, type ControlPlane } from '../ads/control-plane.ts'
import type { WorkloadCertificate } from '../identity/certificate.ts'

const deltaAds = defineMethod<Buffer, Buffer, Buffer>(ads.deltaAggregatedResources, bytesCodec<Buffer>(), bytesCodec<Buffer>())

/** How long a control plane may take to answer a goodbye. */
const GOODBYE_MS = 1000

type Down = grpc.ServerDuplexStream<Buffer, Buffer>

interface Pair {
  readonly down: Down
  readonly up: grpc.ClientDuplexStream<Buffer, Buffer>
  readonly client: grpc.Client
  /** The node travels in the first request of a stream alone. */
  begun: boolean
}

/** What the agent itself wants of the stream. */
export interface RelayedNames {
  /** What to ask first, on each new stream. */
  open(): DeltaDiscoveryRequest | undefined
  /** Takes a response, and answers with its acknowledgement. */
  take(response: DeltaDiscoveryResponse): DeltaDiscoveryRequest | undefined
}

/**
 * The discovery stream of an Envoy, which comes to the agent and goes on to the control plane with the workload's certificate. Bytes pass as they are, but for what Envoy cannot say:
 * whether the application may be called, that the workload leaves, and the names that the agent answers its look-ups from. Where one side ends or breaks, so does the other: Envoy comes back by itself, with what it has.
 */
export class AdsRelay {
  readonly #clock: Clock
  readonly #controlPlane: ControlPlane
  readonly #certificate: () => WorkloadCertificate | undefined
  readonly #names: RelayedNames | undefined
  readonly #log: Log
  #pair: Pair | undefined
  #healthy = false
  /** Why it may not be called, where that was said. */
  #why: string | undefined
  #stopped = false

  constructor(clock: Clock, of: { controlPlane: ControlPlane; certificate: () => WorkloadCertificate | undefined; names: RelayedNames | undefined }, log: Log) {
    this.#clock = clock
    this.#controlPlane = of.controlPlane
    this.#certificate = of.certificate
    this.#names = of.names
    this.#log = log
  }

  serveOn(server: grpc.Server): void {
    server.addService({ deltaAds }, { deltaAds: (call: Down) => this.#serve(call) })
  }

  /** Why the mesh may not call the application; empty: it may, from now on. A stream that begins later says so in its node, and then why. */
  setHealth(why: string): void {
    const healthy = why === ''
    if (healthy ? this.#healthy : why === this.#why) return
    this.#healthy = healthy
    this.#why = healthy ? undefined : why
    if (this.#pair?.begun === true) this.#sayHealth()
  }

  #sayHealth(): void {
    this.#say(create(DeltaDiscoveryRequestSchema, { typeUrl: HEALTH_INFORMATION, ...(!this.#healthy && { errorDetail: { code: grpc.status.UNAVAILABLE, message: this.#why ?? '' } }) }))
  }

  /** A new certificate is there: the stream must not end with the old one's life. */
  renew(): void {
    if (this.#pair !== undefined && !this.#stopped) this.#lost(this.#pair, 'the certificate was renewed')
  }

  /** Says goodbye: the control plane takes the workload out at once. Resolves when it has answered, or after a second. Envoy keeps what it has. */
  async leave(): Promise<void> {
    this.#stopped = true
    const pair = this.#pair
    if (pair === undefined) return
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(GOODBYE_MS, resolve)
      pair.up.once('status', () => {
        timer.cancel()
        resolve()
      })
      pair.up.end()
    })
    this.#lost(pair, 'the workload has left')
  }

  #serve(down: Down): void {
    if (this.#stopped) return end(down, 'the workload leaves')
    if (this.#pair !== undefined) this.#lost(this.#pair, 'another stream takes its place')
    const client = controlPlaneChannel(this.#controlPlane, this.#certificate())
    const up = client.makeBidiStreamRequest(deltaAds.path, deltaAds.requestSerialize, deltaAds.responseDeserialize)
    const pair: Pair = { down, up, client, begun: false }
    this.#pair = pair
    down.on('data', (bytes: Buffer) => this.#ask(pair, bytes))
    up.on('data', (bytes: Buffer) => this.#answer(pair, bytes))
    up.on('drain', () => down.resume())
    down.on('drain', () => up.resume())
    for (const event of ['end', 'cancelled', 'error']) down.on(event, () => this.#lost(pair, 'Envoy closed it'))
    up.on('error', (error: Error) => this.#lost(pair, describeError(error)))
    up.on('end', () => this.#lost(pair, 'closed by the control plane'))
  }

  #ask(pair: Pair, bytes: Buffer): void {
    if (pair !== this.#pair) return
    const first = !pair.begun
    pair.begun = true
    if (!pair.up.write(first && !this.#healthy ? asUnhealthy(bytes) : bytes)) pair.down.pause()
    if (first && this.#why !== undefined) this.#sayHealth()
    const asked = first ? this.#names?.open() : undefined
    if (asked !== undefined) this.#say(asked)
  }

  #answer(pair: Pair, bytes: Buffer): void {
    if (pair !== this.#pair) return
    if (this.#names !== undefined && typeUrlIn(bytes) === NAME_TABLE) {
      const reply = this.#names.take(fromBinary(DeltaDiscoveryResponseSchema, bytes))
      if (reply !== undefined) this.#say(reply)
    } else if (!pair.down.write(bytes)) pair.up.pause()
  }

  #say(request: DeltaDiscoveryRequest): void {
    this.#pair?.up.write(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, request)))
  }

  #lost(pair: Pair, why: string): void {
    if (pair !== this.#pair) return
    this.#pair = undefined
    if (!this.#stopped) this.#log.warn('xds.lost', { target: this.#controlPlane.target, error: why })
    // Cancelled, not closed: a closed stream says that the workload leaves.
    pair.up.cancel()
    pair.client.close()
    end(pair.down, why)
  }
}

/** Ends Envoy's stream in a way that makes it come back. */
function end(down: Down, why: string): void {
  if (!down.cancelled) down.emit('error', { code: grpc.status.UNAVAILABLE, details: why })
}

function asUnhealthy(bytes: Buffer): Buffer {
  const request = fromBinary(DeltaDiscoveryRequestSchema, bytes)
  if (request.node === undefined) return bytes
  request.node.metadata = { ...request.node.metadata, WEFT_HEALTH: 'unhealthy' }
  return Buffer.from(toBinary(DeltaDiscoveryRequestSchema, request))
}

const TYPE_URL_FIELD = 4

/** `type_url` of a DeltaDiscoveryResponse, whose resources are stepped over unread. */
function typeUrlIn(bytes: Uint8Array): string {
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag()
    if (field === TYPE_URL_FIELD) return reader.string()
    reader.skip(type, field)
  }
  return ''
}
