import { create } from '@bufbuild/protobuf'
import type * as grpc from '@grpc/grpc-js'
import type { Doors, Timer } from '#core/time/clock.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { writeNode } from '#core/workload/node-message.ts'
import { hasMore } from '#core/wire/nonce.ts'
import { ads, defineTypedMethod } from '#core/wire/grpc.ts'
import { type DeltaDiscoveryRequest, DeltaDiscoveryRequestSchema, type DeltaDiscoveryResponse } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { HEALTH_INFORMATION } from '#core/wire/type-url.ts'
import { describeError, type Log } from '../admin/log.ts'
import { backOffMs } from '#core/time/back-off.ts'
import type { WorkloadCertificate } from '../identity/certificate.ts'
import { controlPlaneChannel, type ControlPlane } from './control-plane.ts'
import { describeRejections, type Rejected } from './nack.ts'
import type { PlanCell } from './plan-cell.ts'
import type { Reply, Subscription } from './subscription.ts'

const deltaAds = defineTypedMethod(ads.deltaAggregatedResources, (bytes): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))

/** google.rpc.Code. */
const UNAVAILABLE = 14
const RECONNECT_BASE_MS = 200
const RECONNECT_MAX_MS = 10_000
/** How long a control plane may take to answer a goodbye. */
const GOODBYE_MS = 1000
/** The longest that a control plane may send a proxy away for. */
const AWAY_MS_MAX = 60_000

/** gRFC A6: in how many milliseconds a call may be tried again, where its status says so. */
function pushbackMsOf(error: Error | undefined): number {
  const [said] = error !== undefined && 'metadata' in error ? (error as grpc.ServiceError).metadata.get('grpc-retry-pushback-ms') : []
  return typeof said === 'string' && /^\d+$/.test(said) ? Math.min(Number(said), AWAY_MS_MAX) : 0
}

type Call = grpc.ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>

interface Connection {
  readonly client: grpc.Client
  readonly call: Call
  /** The node travels in the first request of a stream alone (xds-rules 1). */
  nodeSent: boolean
  answered: boolean
  readonly connectedAtMs: number
}

/**
 * The proxy's one discovery stream: incremental, all types, over mTLS. It comes back by itself, with what it has, and traffic never waits for it.
 * Reading, holding back and swapping are the cell's; the order of names and versions is the subscriptions'.
 */
export class Ads {
  readonly #doors: Doors
  readonly #controlPlane: ControlPlane
  readonly #node: () => ProxyNode
  readonly #certificate: () => WorkloadCertificate | undefined
  readonly #cell: PlanCell
  readonly #log: Log
  #connection: Connection | undefined
  #retry: Timer | undefined
  #attempt = 0
  #stopped = false
  /** Whether the application may be called. */
  #healthy = false
  /** Why it may not, where that was said. */
  #why: string | undefined
  /** For metrics. */
  readonly counts = { connects: 0, failures: 0, acks: 0, nacks: 0 }

  constructor(doors: Doors, of: { controlPlane: ControlPlane; readonly node: ProxyNode; certificate: () => WorkloadCertificate | undefined }, cell: PlanCell, log: Log) {
    this.#doors = doors
    this.#controlPlane = of.controlPlane
    // Asked for with each stream: the mesh has a say in it, which comes after the first certificate.
    this.#node = () => of.node
    this.#certificate = of.certificate
    this.#cell = cell
    this.#log = log
  }

  get isConnected(): boolean {
    return this.#connection?.answered === true
  }

  start(): void {
    this.#connect()
  }

  /** Why the mesh may not call the application; empty: it may, from now on. A stream that begins later says so in its node, and then why. */
  setHealth(why: string): void {
    const healthy = why === ''
    if (healthy ? this.#healthy : why === this.#why) return
    this.#healthy = healthy
    this.#why = healthy ? undefined : why
    if (this.#connection?.nodeSent === true) this.#sayHealth(this.#connection)
  }

  #sayHealth(connection: Connection): void {
    connection.call.write(create(DeltaDiscoveryRequestSchema, { typeUrl: HEALTH_INFORMATION, ...(!this.#healthy && { errorDetail: { code: UNAVAILABLE, message: this.#why ?? '' } }) }))
  }

  /** A new certificate is there: the stream must not end with the old one's life. What is held stays, and little is sent. */
  renew(): void {
    if (this.#stopped || !this.#connection) return
    // Cancelled, not closed: a closed stream says that the proxy leaves, and this one stays.
    this.#drop(this.#connection)
    this.#connect()
  }

  /** Says goodbye: the control plane takes the workload out at once, before its listeners close. Resolves when it has answered, or after a second. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#retry?.cancel()
    const connection = this.#connection
    if (!connection) return
    await new Promise<void>((resolve) => {
      const timer = this.#doors.clock.after(GOODBYE_MS, resolve)
      connection.call.once('status', () => {
        timer.cancel()
        resolve()
      })
      connection.call.end()
    })
    this.#connection = undefined
    connection.client.close()
  }

  #connect(): void {
    this.#retry?.cancel()
    const client = controlPlaneChannel(this.#controlPlane, this.#certificate())
    const call = client.makeBidiStreamRequest(deltaAds.path, deltaAds.requestSerialize, deltaAds.responseDeserialize)
    const connection: Connection = { client, call, nodeSent: false, answered: false, connectedAtMs: this.#doors.clock.monotonicMs() }
    this.#connection = connection
    this.counts.connects += 1
    call.on('data', (response: DeltaDiscoveryResponse) => this.#receive(connection, response))
    call.on('error', (error: Error) => this.#lost(connection, error))
    call.on('end', () => this.#lost(connection, undefined))
    for (const subscription of this.#cell.subscriptions) {
      subscription.open()
      this.#send(connection, subscription, undefined)
    }
  }

  #receive(connection: Connection, response: DeltaDiscoveryResponse): void {
    const subscription = this.#cell.subscription(response.typeUrl)
    if (connection !== this.#connection || !subscription) return
    if (!connection.answered) {
      connection.answered = true
      this.#attempt = 0
      this.#log.info('xds.connected', { target: this.#controlPlane.target, control: response.controlPlane?.identifier ?? '' })
    }
    const { nonce, removedResources, systemVersionInfo } = response
    const resources = response.resources.map(({ name, version, resource }) => ({ name, version, bytes: resource?.value ?? new Uint8Array() }))
    let refused = false
    const refuse = (rejected: readonly Rejected[]): void => {
      refused = true
      this.counts.nacks += 1
      this.#log.warn('xds.nack', { type: subscription.type, revision: systemVersionInfo, rejected })
      this.#send(connection, subscription, { nonce, refusal: describeRejections(rejected) })
    }
    const acknowledge = (unenforced: readonly Rejected[]): void => {
      if (refused) return
      if (unenforced.length > 0) return refuse(unenforced)
      this.counts.acks += 1
      this.#send(connection, subscription, { nonce, refusal: undefined })
    }
    const update = { type: subscription.type, revision: Number(systemVersionInfo) || 0, resources, removed: removedResources, more: hasMore(nonce) }
    // `take` may call back before it returns, and only its answer says whether anything was refused: hence the microtask.
    const rejected = this.#cell.take(update, (unenforced) => queueMicrotask(() => acknowledge(unenforced)))
    if (rejected.length > 0) refuse(rejected)
    // What has just come points at more: ask for it now, whether or not this response is acknowledged yet.
    for (const one of this.#cell.subscriptions) this.#send(connection, one, undefined)
  }

  #send(connection: Connection, subscription: Subscription, reply: Reply | undefined): void {
    if (connection !== this.#connection || this.#stopped) return
    const request = subscription.next(reply, connection.nodeSent ? undefined : writeNode(this.#healthy ? this.#node() : { ...this.#node(), health: 'unhealthy' }))
    if (!request) return
    const isFirst = !connection.nodeSent
    connection.nodeSent = true
    connection.call.write(request)
    if (isFirst && this.#why !== undefined) this.#sayHealth(connection)
  }

  #lost(connection: Connection, error: Error | undefined): void {
    if (connection !== this.#connection) return
    this.#drop(connection)
    if (this.#stopped) return
    this.counts.failures += 1
    // Whoever sends us away for now says for how long.
    const delayMs = Math.max(pushbackMsOf(error), backOffMs(this.#attempt++, this.#doors.random.draw(), RECONNECT_BASE_MS, RECONNECT_MAX_MS))
    this.#log.warn('xds.lost', { target: this.#controlPlane.target, error: error ? describeError(error) : 'closed by the control plane', retryInMs: Math.round(delayMs) })
    this.#retry = this.#doors.clock.after(delayMs, () => this.#connect())
  }

  #drop(connection: Connection): void {
    this.#connection = undefined
    // The call's own cancellation comes back as an error, which `#lost` then knows is not of the current connection.
    connection.call.cancel()
    connection.client.close()
  }
}
