import { constants, createSecureServer, createServer, type Http2SecureServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { TLSSocket } from 'node:tls'
import { status } from '@grpc/grpc-js'
import type { Clock } from '#core/time/clock.ts'
import type { TrustStore } from '../trust.ts'
import { type Download, respond } from './download.ts'
import { HeldBytes } from './held-bytes.ts'
import type { GrpcMethod } from './method.ts'
import { type Caller, type CallLimits, ServerCall } from './server-call.ts'
import { watchSilence } from './silence.ts'
import { Strangers } from './strangers.ts'
import { bytesWritten, Unread } from './unread.ts'

/** How often a connection is asked whether it is there. */
const keepaliveMs = 60_000
/** One that is silent at so many looks in a row, two minutes, is gone. */
const lookMs = 15_000
const silentLooks = 8
/** How many times that long one has that does not read what waits for it, here or before its own door. */
const slowTimes = 3
/** PING and SETTINGS frames that a connection may send within the time: clients probe the path with them while data comes in, and no more often. */
const probesMax = 1000
const probesMs = 10_000
const sessionMemoryMiB = 64
const windowBytes = 256 << 10
/** Messages of the largest kind that may come at once over one connection, and from all together who have shown no certificate, which says nothing of how many they are. */
const largestOfConnection = 2
const largestOfStrangers = 8
/** Of the process's memory, what is held of the messages of all who have shown no certificate: an eighth, where that is more than the largest messages, and never more than this. */
const strangersShare = 1 / 8
const strangersBytesMost = 1 << 30
/** Connections that the system makes and holds until they are taken, as many as it allows. Past a short queue it answers without remembering, and whoever came is reset when it speaks: a herd comes at once. */
const backlog = 4096
/** Connections at once of whom nothing is known. */
const strangersMax = 10_000

export interface GrpcServerOptions extends CallLimits {
  readonly clock: Clock
  /** By which peers are given time to answer over the network. */
  readonly sockets: Clock
  readonly methods: readonly GrpcMethod[]
  readonly downloads?: readonly Download[]
  /** Calls that one connection may have at once. */
  readonly callsMax: number
  /** Connections at once without a call whose caller is known. */
  readonly strangersMax?: number
  /** Undefined: plaintext. */
  readonly trust: TrustStore | undefined
  /** Memory that the process may take; absent: nobody has said it. */
  readonly memoryBytes?: number
}

/**
 * gRPC's server side on node:http2 (gRPC over HTTP/2): many messages to many connections, each written as it was encoded once.
 * A certificate is asked for and none is taken for an answer: what a verified one proves, methods ask.
 */
export class GrpcServer {
  readonly #options: GrpcServerOptions
  readonly #server: Http2Server | Http2SecureServer
  readonly #methods: ReadonlyMap<string, GrpcMethod>
  readonly #sessions = new Set<ServerHttp2Session>()
  readonly #strangers: Strangers
  readonly #strangersBytes: HeldBytes
  /** Connections that owe an answer to a PING. */
  readonly #asked = new WeakSet<ServerHttp2Session>()
  readonly #unfollow: () => void
  #closed: Promise<void> | undefined

  constructor(options: GrpcServerOptions) {
    this.#options = options
    this.#strangers = new Strangers(options.clock, options.strangersMax ?? strangersMax)
    this.#strangersBytes = new HeldBytes(Math.max(largestOfStrangers * options.requestBytesMax, Math.min(strangersBytesMost, (options.memoryBytes ?? 0) * strangersShare)))
    this.#methods = new Map(options.methods.map((method) => [method.path, method]))
    const settings = { settings: { initialWindowSize: windowBytes, maxConcurrentStreams: options.callsMax, enablePush: false }, maxSessionMemory: sessionMemoryMiB }
    const { trust } = options
    if (trust) {
      const server = createSecureServer({ ...settings, requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['h2'] })
      this.#unfollow = trust.follow(({ ca, cert, key }) => server.setSecureContext({ ca, cert, key }))
      // A greeting that fails is the peer's affair; its connection is over.
      server.on('tlsClientError', (_error, socket) => socket.destroy())
      this.#server = server
    } else {
      this.#unfollow = () => {}
      this.#server = createServer(settings)
    }
    this.#server.on('session', (session) => this.#onSession(session))
    // A connection that breaks ends its calls, which tell.
    this.#server.on('sessionError', () => {})
  }

  /** @throws Error when the port cannot be bound */
  listen(at: { readonly address: string; readonly port: number }): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ port: at.port, host: at.address, backlog }, () => {
        this.#server.off('error', reject)
        const { port } = this.#server.address() as AddressInfo
        resolve(port)
      })
    })
  }

  /** Takes no connections and no calls any more; resolves when those that are there have ended. */
  drain(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#unfollow()
      this.#server.close(() => resolve())
      for (const session of this.#sessions) session.close()
    })
    return this.#closed
  }

  /** Ends all at once. */
  cut(): void {
    void this.drain()
    for (const session of this.#sessions) session.destroy()
  }

  #onSession(session: ServerHttp2Session): void {
    const { clock } = this.#options
    const caller = callerOf(session)
    const ofConnection = new HeldBytes(largestOfConnection * this.#options.requestBytesMax)
    const budgets = caller.certificate === undefined ? [ofConnection, this.#strangersBytes] : [ofConnection]
    this.#sessions.add(session)
    const becomeKnown = this.#strangers.enter(session)
    const streams = new Set<ServerHttp2Stream>()
    const unread = new Unread(session)
    const keepalive = this.#options.sockets.every(keepaliveMs, () => this.#probe(session, streams, unread))
    let probes = 0
    let probesSinceMs = clock.monotonicMs()
    const onProbe = (): void => {
      const nowMs = clock.monotonicMs()
      if (nowMs - probesSinceMs > probesMs) {
        probes = 0
        probesSinceMs = nowMs
      }
      probes += 1
      if (probes !== probesMax) return
      session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, Buffer.from('too_many_pings'))
      session.destroy()
    }
    session.on('ping', onProbe)
    session.on('remoteSettings', onProbe)
    session.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      streams.add(stream)
      stream.once('close', () => streams.delete(stream))
      this.#onStream(stream, headers, caller, budgets, () => stream.once('close', becomeKnown()))
    })
    session.once('close', () => {
      keepalive.cancel()
      this.#sessions.delete(session)
    })
  }

  /**
   * A peer that is gone without a word is found by a PING that nobody answers. One that reads slowly has its PING behind what it has not read, and is not gone:
   * as long as bytes move it has time, and where they do not and it has much to read, a few times as much (xds-rules 25). A proxy that is cut off because it is starved comes back and asks for all anew.
   * What the system took to send on its own says nothing of the peer: where nothing waits here, only what is read counts.
   */
  #probe(session: ServerHttp2Session, streams: ReadonlySet<ServerHttp2Stream>, unread: Unread): void {
    if (session.destroyed || session.closed || this.#asked.has(session)) return
    unread.look()
    const waits = (): boolean => [...streams].some((stream) => stream.writableLength > 0)
    let written = bytesWritten(session)
    const silence = watchSilence(this.#options.sockets, {
      everyMs: lookMs,
      looksMax: () => (waits() || unread.isMuch ? silentLooks * slowTimes : silentLooks),
      hasStirred: () => {
        const stirred = unread.look() || (waits() && bytesWritten(session) !== written)
        written = bytesWritten(session)
        return stirred
      },
      over: () => session.destroy(),
    })
    this.#asked.add(session)
    const isSent = session.ping((error) => {
      silence.cancel()
      this.#asked.delete(session)
      if (error && !session.destroyed) session.destroy()
    })
    if (isSent) return
    silence.cancel()
    this.#asked.delete(session)
  }

  #onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, caller: Caller, budgets: readonly HeldBytes[], onWelcome: () => void): void {
    const download = headers[':method'] === 'GET' ? this.#options.downloads?.find(({ path }) => headers[':path']?.startsWith(path)) : undefined
    if (download !== undefined) return respond(stream, headers, caller, download, onWelcome)
    if (headers[':method'] !== 'POST' || !/^application\/grpc($|[+;])/.test(headers['content-type'] ?? '')) {
      // Whatever else may be spoken here, it is not gRPC (gRPC over HTTP/2, "Requests").
      stream.on('error', () => {})
      stream.respond({ ':status': 415 }, { endStream: true })
      return
    }
    const call = new ServerCall(stream, headers, { caller, clock: this.#options.clock, limits: this.#options, budgets, onWelcome })
    const method = this.#methods.get(headers[':path'] ?? '')
    if (method) method.open(call)
    else call.fail(status.UNIMPLEMENTED, `there is no method ${headers[':path'] ?? ''}`)
  }
}

function callerOf({ socket }: ServerHttp2Session): Caller {
  const { remoteAddress = '', remotePort = 0 } = socket
  const isProven = socket instanceof TLSSocket && socket.authorized
  return { peer: `${remoteAddress}:${remotePort}`, certificate: isProven ? socket.getPeerCertificate().raw : undefined }
}
