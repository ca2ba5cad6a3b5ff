import net from 'node:net'
import type { Socket } from 'node:net'
import type { FilterChainPlan, ListenerPlan } from '#core/plan/listener.ts'
import type { SocketAddress } from '#core/workload/workload.ts'
import type { PeerInfo } from '#core/route/request.ts'
import { isProof } from '../capture/proof.ts'
import { selectChain } from '#core/route/chain.ts'
import { authorize } from '#core/authz/authorize.ts'
import type { ClientConnection, Engine } from '../http/engine.ts'
import { Http2ServerConnection } from '../http/h2/server-connection.ts'
import { ServerConnection, noIdentity } from '../http/server-connection.ts'
import type { ClientIdentity } from '../http/server-connection.ts'
import { acceptWire } from '../http/socket.ts'
import type { WireHandler } from '../http/socket.ts'
import { HttpStack } from '../filter/stack.ts'
import type { SecretSource } from '../sources.ts'
import type { ProxiedConnection } from '../tcp/proxy-header.ts'
import { TcpStack } from '../tcp/tcp-stack.ts'
import type { LogSink } from '../telemetry/access-log.ts'
import type { ListeningSockets } from '../upgrade/listening-sockets.ts'
import { awaitProxyHeader } from './await-proxy-header.ts'
import { originalDestination } from './original-destination.ts'
import { serveTls } from './secure.ts'
import { CLIENT_HELLO_BYTES_MAX, sniff } from './sniff.ts'
import type { Sniffed } from './sniff.ts'

/** Envoy's default bound of what stands in front of the chains. */
const INSPECTION: NonNullable<ListenerPlan['inspection']> = { timeoutMs: 15_000, continues: false }
const PROXY_HEADER_MS = 5000
const BACKLOG = 4096
/** How long a connection that came before its listener closed may take for its first bytes. */
const BEGIN_MS = 1000

const UNREAD: Sniffed = { transportProtocol: 'raw_buffer', serverName: '', applicationProtocols: [] }
const noHandler: WireHandler = { onRead() {}, onReadEnd() {}, onWritable() {}, onClosed() {} }

/** What a listener needs besides the engine. */
export interface ListenerDoors {
  readonly engine: Engine
  readonly secrets: SecretSource
  readonly sink: LogSink
  /** Taken over from the process before this one. */
  readonly sockets?: ListeningSockets | undefined
  /** With listeners of other threads (SO_REUSEPORT). */
  readonly sharesPorts?: boolean
  /** Made once for each plan of a chain. */
  stackOf(chain: FilterChainPlan, direction: ListenerPlan['direction']): HttpStack | TcpStack
  /** The listener of an address that a captured connection was going to. */
  listenerAt(to: SocketAddress): Listener | undefined
}

/** A socket that listens, and what it was bound by. */
export interface ListeningServer {
  readonly at: SocketAddress
  readonly server: net.Server
}

/**
 * A bound port. Its plan may be replaced while connections stand; they keep what they began with.
 *
 * A connection's walk: accepted, and handed to the listener of the address where it was going (`handsOff`) → a balancer's PROXY header → as many of its first bytes as tell TLS and HTTP apart →
 * the filter chain (core/route/chain.ts) → TLS → network policies → HTTP/1.1, HTTP/2 or bytes as they are.
 */
export class Listener {
  plan: ListenerPlan
  readonly #doors: ListenerDoors
  /** One for each address; none where it binds nothing. */
  readonly servers: readonly ListeningServer[]
  /** The same ports’, of threads that are no more. */
  readonly beside: ListeningServer[] = []
  readonly #sniffing = new Set<Socket>()
  readonly #http = new Set<ClientConnection>()
  /** Why the port could not be bound; empty when it is. */
  failure = ''
  accepted = 0
  #draining = false
  #peeks = false

  constructor(doors: ListenerDoors, plan: ListenerPlan, listening: (listener: Listener) => void) {
    this.#doors = doors
    this.plan = plan
    this.#peeks = peeks(plan)
    this.servers = bindsOf(plan).map((at) => ({ at, server: this.#open() }))
    let awaited = this.servers.length
    for (const { at, server } of this.servers) {
      server.on('error', (error: NodeJS.ErrnoException) => {
        this.failure = `${error.code ?? error.message}${this.servers.length > 1 ? ` at ${at.address}` : ''}`
        // It has all of its addresses or none.
        if (awaited > 0) for (const one of this.servers) one.server.close()
        listening(this)
      })
      const bound = (): void => {
        awaited -= 1
        if (this.failure !== '') server.close()
        else if (awaited === 0) listening(this)
      }
      const inherited = doors.sockets?.take(at)
      if (inherited === undefined) server.listen({ host: at.address, port: at.port, backlog: BACKLOG, reusePort: doors.sharesPorts === true, ipv6Only: at.address === '::' }, bound)
      else server.listen(inherited, BACKLOG, bound)
      for (const handle of doors.sockets?.takeOfThreads(at) ?? []) this.beside.push({ at, server: this.#open().on('error', () => {}).listen(handle, BACKLOG) })
    }
  }

  #open(): net.Server {
    return net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket))
  }

  /** The port in use; undefined while not bound. */
  get port(): number | undefined {
    const address = this.servers[0]?.server.address()
    return typeof address === 'object' && address !== null ? address.port : undefined
  }

  /** False when the new plan binds elsewhere: then it needs a listener of its own. */
  replacePlan(plan: ListenerPlan): boolean {
    const [now, then] = [bindsOf(this.plan), bindsOf(plan)]
    if (now.length !== then.length || now.some(({ address, port }, index) => address !== then[index]?.address || port !== then[index]?.port)) return false
    this.plan = plan
    this.#peeks = peeks(plan)
    return true
  }

  /** Connections whose first bytes are awaited. */
  get unserved(): number {
    return this.#sniffing.size
  }

  /** No new connections; those that stand close when their exchange is over, and those that have not begun have a second for it. */
  close(): void {
    for (const { server } of [...this.servers, ...this.beside]) server.close()
    this.#doors.engine.doors.clock.after(BEGIN_MS, () => {
      for (const socket of this.#sniffing) socket.destroy()
    })
    this.drain()
  }

  /** Every answer asks its client to go elsewhere; new connections are still taken, from those that do not know yet. */
  drain(): void {
    this.#draining = true
    for (const connection of this.#http) connection.draining = true
  }

  #accept(socket: Socket): void {
    const { overload } = this.#doors.engine
    if (!overload.opens()) return refuse(socket)
    socket.once('close', () => overload.closed())
    const to = this.plan.usesOriginalDestination === true ? originalDestination(socket) : undefined
    // The proxy's own question whether it captures (capture/proof.ts): that it came here is the answer.
    if (to !== undefined && isProof(to, socket.remoteAddress)) return refuse(socket)
    const other = to !== undefined && this.plan.handsOff === true ? this.#doors.listenerAt(to) : undefined
    ;(other ?? this).#take(socket, to)
  }

  #take(socket: Socket, to: SocketAddress | undefined): void {
    this.accepted += 1
    const { proxyProtocol } = this.plan
    if (proxyProtocol === undefined) return this.#inspect(socket, { to, said: undefined })
    this.#sniffing.add(socket)
    awaitProxyHeader(socket, proxyProtocol, this.#doors.engine.doors.clock, PROXY_HEADER_MS, (header) => {
      this.#sniffing.delete(socket)
      this.#inspect(socket, { to, said: header?.addresses })
    }, () => this.#sniffing.delete(socket))
  }

  #inspect(socket: Socket, ends: Ends): void {
    const { overload } = this.#doors.engine
    const client = ends.said?.source.address ?? plainAddress(socket.remoteAddress ?? '')
    if (!overload.enters(client)) return refuse(socket)
    socket.once('close', () => overload.leaves(client))
    if (this.#peeks) this.#sniff(socket, ends)
    else this.#serve(socket, UNREAD, undefined, ends)
  }

  #sniff(socket: Socket, ends: Ends): void {
    let seen: Buffer | undefined
    const { timeoutMs, continues } = this.plan.inspection ?? INSPECTION
    this.#sniffing.add(socket)
    const settle = (sniffed: Sniffed): void => {
      timer?.cancel()
      this.#sniffing.delete(socket)
      socket.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone)
      this.#serve(socket, sniffed, seen, ends)
    }
    const onData = (bytes: Buffer): void => {
      seen = seen === undefined ? bytes : Buffer.concat([seen, bytes])
      const sniffed = sniff(seen)
      if (sniffed !== undefined) settle(sniffed)
      else if (seen.length > CLIENT_HELLO_BYTES_MAX) settle(UNREAD)
    }
    const onGone = (): void => {
      timer?.cancel()
      this.#sniffing.delete(socket)
      socket.destroy()
    }
    const onEnd = (): void => (seen === undefined ? onGone() : settle(UNREAD))
    // Who says nothing may wait for its server to speak first: the chain is then chosen without its words.
    const timer = timeoutMs === 0 ? undefined : this.#doors.engine.doors.clock.after(timeoutMs, () => (continues ? settle(UNREAD) : onGone()))
    socket.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone)
  }

  #serve(socket: Socket, first: Sniffed, seen: Buffer | undefined, ends: Ends): void {
    // What plaintext looks like counts only where an HTTP inspector was asked for.
    const sniffed = this.plan.inspectsHttp === false && first.transportProtocol === 'raw_buffer' ? UNREAD : first
    const peer = peerOf(socket, sniffed.serverName, ends)
    const chain = selectChain(this.plan, { destinationPort: peer.localPort, destinationAddress: peer.localAddress, ...sniffed })
    if (chain === undefined || socket.destroyed) {
      socket.destroy()
      return
    }
    if (chain.tls === undefined) {
      this.#serveChain(chain, socket, peer, noIdentity, seen, false)
      return
    }
    socket.pause()
    if (seen !== undefined) socket.unshift(seen)
    serveTls(socket, chain.tls, chain.serve.kind === 'tcp', sniffed.applicationProtocols, this.#doors.secrets, this.#doors.engine.doors.clock, (client) => {
      this.#serveChain(chain, client.socket, { ...peer, uriSans: client.uriSans, dnsSans: client.dnsSans, tls: true }, client, undefined, client.socket.alpnProtocol === 'h2')
    }, () => this.#doors.engine.overload.lateHandshake())
  }

  #serveChain(chain: FilterChainPlan, socket: Socket, peer: PeerInfo, identity: ClientIdentity, early: Buffer | undefined, speaksHttp2: boolean): void {
    const { engine } = this.#doors
    const stack = this.#doors.stackOf(chain, this.plan.direction)
    const wire = acceptWire(socket, noHandler)
    const decision = chain.rbac.length === 0 ? undefined : authorize(chain.rbac, undefined, peer)
    if (decision?.allowed === false) {
      if (stack instanceof TcpStack) stack.refuse(wire, peer, decision)
      else wire.destroy()
      return
    }
    wire.readsRecords = peer.tls
    // What ended while its first bytes were looked at does not end again.
    const ended = (): void => {
      if (socket.readableEnded) wire.handler.onReadEnd()
    }
    if (stack instanceof TcpStack) {
      stack.serve(wire, peer, early)
      ended()
      return
    }
    const serve = (connection: Http2ServerConnection | ServerConnection, first: Buffer | undefined): void => {
      this.#http.add(connection)
      connection.draining = this.#draining
      socket.once('close', () => this.#http.delete(connection))
      connection.begin(wire, first)
      ended()
    }
    const serveHttp2 = (first: Buffer | undefined): void => serve(new Http2ServerConnection(engine, stack, peer, identity), first)
    const { codec } = stack.plan
    if (codec === 'http2' || (speaksHttp2 && codec === undefined)) serveHttp2(early)
    else serve(new ServerConnection(engine, stack, peer, identity, codec === undefined ? serveHttp2 : undefined), early)
  }
}

/** What it binds, in order. */
const bindsOf = ({ bind, further = [] }: ListenerPlan): readonly SocketAddress[] => (bind === undefined ? [] : [bind, ...further])

function refuse(socket: Socket): void {
  socket.on('error', () => {})
  socket.destroy()
}

/** Whether the first bytes must be seen before a chain can be chosen. */
const peeks = (plan: ListenerPlan): boolean =>
  plan.inspectsTls || plan.inspectsHttp === true || plan.chains.some((chain) => chain.tls !== undefined || chain.match.transportProtocol !== '' || chain.match.serverNames.length > 0 || chain.match.applicationProtocols.length > 0)

/** What is told of a connection's ends beside the socket: where it went before it was captured, and what a balancer said in front of it. */
interface Ends {
  readonly to: SocketAddress | undefined
  readonly said: ProxiedConnection['addresses']
}

function peerOf(socket: Socket, sni: string, { to, said }: Ends): PeerInfo {
  const direct = { address: plainAddress(socket.remoteAddress ?? ''), port: socket.remotePort ?? 0 }
  const local = to ?? said?.destination
  return {
    ...(said?.source ?? direct),
    ...(said !== undefined && { direct }),
    localAddress: local?.address ?? plainAddress(socket.localAddress ?? ''),
    localPort: local?.port ?? socket.localPort ?? 0,
    ...(to !== undefined && { captured: true }),
    uriSans: [],
    dnsSans: [],
    sni,
    tls: false,
  }
}

/** `::ffff:10.0.0.1` → `10.0.0.1`. */
const plainAddress = (address: string): string => (address.startsWith('::ffff:') ? address.slice(7) : address)
