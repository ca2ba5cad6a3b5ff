import { isIP } from 'node:net'
import { status } from '@grpc/grpc-js'
import type { Clock, Doors } from '#core/time/clock.ts'
import { ads, cds, ecds, eds, lds, rds, type RpcMethod, rtds, sds, srds, vhds } from '#core/wire/grpc.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, EXTENSION_CONFIG, LISTENER, ROUTE_CONFIGURATION, RUNTIME, SCOPED_ROUTE_CONFIGURATION, SECRET, VIRTUAL_HOST } from '#core/wire/type-url.ts'
import { type DiscoveryDoors, DiscoverySession } from './ads.ts'
import { Answers, keptBytesWithin } from './answers.ts'
import { Asks } from './asks.ts'
import { ServeCounts } from './counts.ts'
import { entriesWithin, Holdings, usualLimits } from './holding.ts'
import { Ledger } from './ledger.ts'
import type { ServeDoors } from './peer.ts'
import { LongPoll } from './long-poll.ts'
import { Publisher } from './publisher.ts'
import { Readings } from './readings.ts'
import { Quarantine } from './quarantine.ts'
import { shareLimits, Shares, unknownBytesWithin } from './shares.ts'
import { Room } from './room.ts'
import type { StreamWatcher, XdsStream } from './stream.ts'
import { GrpcServer } from './transport/grpc-server.ts'
import type { Download } from './transport/download.ts'
import type { GrpcMethod } from './transport/method.ts'
import type { TrustStore } from './trust.ts'
import { Turnstile } from './turnstile.ts'

/** Names and versions on reconnect make requests large (xds-rules 24). */
const requestBytesMax = 16 << 20
/** First views that are made at once. */
const firstViewsAtOnce = 8
/** Proxies that wait for their first view: with more it takes minutes, and another replica may be quicker. */
const waitingMax = 8192
const stallCheckMs = 10_000
const callsMax = 50_000
/** Calls on one connection: a proxy needs one, or one a type. */
const callsOfConnectionMax = 256
/** A proxy that lags for so long is resynced unasked and raised. */
export const lateMs = 30_000

export interface XdsOptions {
  /** The TLS port: proxies from anywhere. */
  readonly tls?: { readonly address: string; readonly port: number; readonly trust: TrustStore }
  /** Plaintext, without credentials: on a loopback address only. */
  readonly plaintext?: { readonly address: string; readonly port: number }
  /** More gRPC services on the same ports; `trust` is undefined on the plaintext one. */
  readonly services?: readonly ((trust: TrustStore | undefined, ledger: Ledger) => readonly GrpcMethod[])[]
  /** What is had by GET on the same ports. */
  readonly downloads?: readonly ((trust: TrustStore | undefined) => Download)[]
  /** Discovery calls that this process holds at once. */
  readonly callsMax?: number
  /** Proxies that wait for their first view at once; whoever comes then is told when to come again. */
  readonly waitingMax?: number
  /** What this process may take of memory, where that is known: what it keeps to share, and holds for whoever is not known yet, goes by it. */
  readonly memoryBytes?: number
  /** By which peers are given time to answer over the network; the clock of all else unless told. Whoever steps that one while sockets are real has another here. */
  readonly sockets?: Clock
  /** Runs something in the event loop's next turn. */
  readonly schedule?: (run: () => void) => void
  readonly note?: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

export interface XdsServer {
  readonly address: string
  /** Of the TLS port, or of the plaintext one where there is no other. */
  readonly port: number
  readonly plaintextPort: number | undefined
  readonly ledger: Ledger
  readonly counts: ServeCounts
  /** The same discovery by long polling; whoever has an HTTP port mounts it. */
  readonly longPoll: LongPoll
  /** Ends every stream with UNAVAILABLE, spread over the time, then whatever is left. Resolves when the ports are free. */
  close(graceMs: number): Promise<void>
}

/**
 * Starts discovery: ADS and the per-type services, delta and SotW, and `services` beside them.
 * @throws Error when plaintext is asked for on an address that is not loopback, or when a port cannot be bound
 */
export async function startXds(doors: Doors & { serve: ServeDoors }, options: XdsOptions): Promise<XdsServer> {
  const { clock } = doors
  if (options.plaintext && !isLoopbackAddress(options.plaintext.address)) throw new Error(`plaintext xDS is refused on ${options.plaintext.address}: loopback only`)
  if (!options.tls && !options.plaintext) throw new Error('xDS has no port to listen on')
  const ledger = new Ledger(clock)
  const counts = new ServeCounts()
  const schedule = options.schedule ?? ((run: () => void) => void setImmediate(run))
  const publisher = new Publisher(clock, schedule)
  const watcher: StreamWatcher = {
    wake: (stream, urgency) => publisher.wake(stream, urgency),
    progressed: (stream) => ledger.progressed(stream),
    rejected: (stream, type, rejection) => {
      counts.of(type).nacks += 1
      ledger.rejected(stream, type, rejection)
    },
    concerned: (stream, revision) => ledger.pushes.concerns(stream, revision),
    sent: (_stream, type, resources, bytes) => {
      const of = counts.of(type)
      of.responses += 1
      of.resources += resources
      of.bytes += bytes
    },
    note: (event, fields) => options.note?.(event, fields),
  }
  const open = new Set<DiscoverySession>()
  const turnstile = new Turnstile(firstViewsAtOnce, options.waitingMax ?? waitingMax)
  const longPoll = new LongPoll(clock, doors.serve, turnstile)
  const memoryBytes = options.memoryBytes ?? Infinity
  const holdings = new Holdings(clock, usualLimits, entriesWithin(memoryBytes))
  const asks = new Asks(clock, holdings.limits.askBytesMin)
  const quarantine = new Quarantine((meshId) => ledger.streamsOf(meshId))
  const shares = new Shares(shareLimits(options.callsMax ?? callsMax), unknownBytesWithin(memoryBytes))
  const discovery: DiscoveryDoors = { serve: doors.serve, clock, publisher, ledger, watcher, answers: new Answers(clock, keptBytesWithin(memoryBytes)), quarantine, shares, asks, holdings, room: new Room<XdsStream>(clock, (stream) => publisher.wake(stream, 'change')), turnstile, sentAway: { count: 0 }, alone: new Turnstile(1), readings: new Readings(clock, schedule), schedule, open }
  const servers: GrpcServer[] = []
  const listen = (at: { address: string; port: number }, trust: TrustStore | undefined): Promise<number> => {
    const methods = [...discoveryMethods(discovery, trust), ...(options.services ?? []).flatMap((make) => make(trust, ledger))]
    const server = new GrpcServer({ clock, sockets: options.sockets ?? clock, methods, trust, downloads: (options.downloads ?? []).map((make) => make(trust)), requestBytesMax, callsMax: callsOfConnectionMax, ...(options.memoryBytes === undefined ? {} : { memoryBytes: options.memoryBytes }) })
    servers.push(server)
    return server.listen(at)
  }
  try {
    const tls = options.tls
    const port = tls && (await listen(tls, tls.trust))
    const plaintextPort = options.plaintext && (await listen(options.plaintext, undefined))
    const stalls = clock.every(stallCheckMs, () => {
      for (const stream of ledger.streams()) {
        stream.reportStall()
        if (stream.resyncLate(lateMs)) counts.resyncs += 1
      }
    })
    return {
      address: (tls ?? options.plaintext)?.address ?? '',
      port: port ?? plaintextPort ?? 0,
      plaintextPort,
      ledger,
      counts,
      longPoll,
      close: async (graceMs) => {
        stalls.cancel()
        longPoll.close()
        await closeAll(doors, servers, open, graceMs)
      },
    }
  } catch (raised) {
    for (const server of servers) server.cut()
    throw raised
  }
}

const services: readonly { readonly methods: Readonly<Record<string, RpcMethod>>; readonly type: string | undefined }[] = [
  { methods: ads, type: undefined },
  { methods: cds, type: CLUSTER },
  { methods: eds, type: CLUSTER_LOAD_ASSIGNMENT },
  { methods: lds, type: LISTENER },
  { methods: rds, type: ROUTE_CONFIGURATION },
  { methods: srds, type: SCOPED_ROUTE_CONFIGURATION },
  { methods: sds, type: SECRET },
  { methods: ecds, type: EXTENSION_CONFIG },
  { methods: vhds, type: VIRTUAL_HOST },
  { methods: rtds, type: RUNTIME },
]

function discoveryMethods(doors: DiscoveryDoors, trust: TrustStore | undefined): GrpcMethod[] {
  return services.flatMap(({ methods, type }) =>
    Object.values(methods).flatMap((method): GrpcMethod[] => {
      // The unary forms are for polling over REST, where ADS is not offered.
      if (!method.requestStream || !method.responseStream) return []
      const protocol = method.input.typeName.endsWith('DeltaDiscoveryRequest') ? 'delta' : 'sotw'
      return [{ path: method.path, open: (call) => void new DiscoverySession(doors, call, { protocol, impliedType: type, trust }) }]
    }),
  )
}

/** Streams end spread over the first half of the time, so that their proxies do not all arrive elsewhere at once; then connections may finish; then they are cut. */
async function closeAll(doors: Doors, servers: readonly GrpcServer[], open: ReadonlySet<DiscoverySession>, graceMs: number): Promise<void> {
  const closed = servers.map((server) => server.drain())
  for (const session of open) doors.clock.after((doors.random.draw() * graceMs) / 2, () => session.end(status.UNAVAILABLE, 'the control plane is going away'))
  const cut = doors.clock.after(graceMs, () => {
    for (const server of servers) server.cut()
  })
  await Promise.all(closed)
  cut.cancel()
}

const isLoopbackAddress = (address: string): boolean => address === '::1' || address === 'localhost' || (isIP(address) === 4 && address.startsWith('127.'))

