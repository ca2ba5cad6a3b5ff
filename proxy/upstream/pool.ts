import type { TLSSocket } from 'node:tls'
import type { ClientTlsPlan, ClusterPlan } from '#core/plan/cluster.ts'
import type { PeerInfo } from '#core/route/request.ts'
import { dialPlain, dialTls } from '../http/socket.ts'
import { writeProxyHeader } from '../tcp/proxy-header.ts'
import type { SecretSource } from '../sources.ts'
import { uriSansOf } from '../listener/peer-certificate.ts'
import type { Upstream } from '../http/sides.ts'
import { http1Alpn, http2Alpn } from './alpn.ts'
import { UpstreamConnection } from './connection.ts'
import { Http2Connection } from './http2-connection.ts'
import type { UpstreamHost } from './host.ts'
import { judgeServer } from './judge-server.ts'
import { keepAlive } from './keep-alive.ts'

/** How long a connection that is one client's own is kept for its next request. */
const CLIENT_IDLE_MS = 10_000

/** A request that waits for a connection. */
export interface PoolUser {
  /** It asks to switch protocols. */
  readonly needsHttp1: boolean
  /** It came over HTTP/2, which decides for clusters that speak as their clients do. */
  readonly overHttp2: boolean
  /** Who asked, for upstreams that are told; absent: the proxy asks for itself. */
  readonly client?: PeerInfo
  onConnection(upstream: Upstream): void
  /** No connection could be made. `why` is empty for a timeout. */
  onConnectFailure(why: string): void
}

/** What the pools of one cluster share: its plan, and the counts that circuit breakers bound. */
export interface PoolOwner {
  readonly plan: ClusterPlan
  readonly secrets: SecretSource
  connections: number
  pending: number
  connectFailures: number
  nowMs(): number
  /** Who an endpoint proved to be; empty without a SPIFFE ID. */
  recognize(host: UpstreamHost, principal: string): void
  /** Connections being made, for the sweep of connect timeouts. */
  readonly connecting: Set<UpstreamConnection>
}

/**
 * Connections to one endpoint: HTTP/1.1 ones, which a request has for itself, and HTTP/2 ones, which it shares. Which of them the plan says, or the peer by ALPN. Circuit breakers count as
 * Envoy's: connections and pending requests over the whole cluster; a request that finds no idle connection is pending until one is made or comes back.
 */
export class HostPool {
  readonly owner: PoolOwner
  readonly host: UpstreamHost
  readonly #idle: UpstreamConnection[] = []
  readonly #all = new Set<UpstreamConnection>()
  readonly #http2: Http2Connection[] = []
  /** They want a stream, or would take one and do not know yet what the peer speaks. */
  #waitingStreams: PoolUser[] = []
  #connectingHttp2 = 0
  /** What the peer chose when it was offered both. */
  #negotiated: 'http1' | 'http2' | undefined = undefined
  readonly #waiting: PoolUser[] = []
  #connecting = 0
  #closed = false
  /** The PROXY protocol tells of one client at a connection's start, so that each has connections of its own; by both ends of the client's. */
  readonly #ofClients = new Map<string, HostPool>()
  readonly #client: PeerInfo | undefined

  constructor(owner: PoolOwner, host: UpstreamHost, client?: PeerInfo) {
    this.owner = owner
    this.host = host
    this.#client = client
  }

  /** The pool of a user's client where there is one for each; undefined: this one. */
  #poolOf(user: PoolUser): HostPool | undefined {
    if (this.owner.plan.proxyHeader === undefined || this.#client !== undefined) return undefined
    const { client } = user
    if (client === undefined) return undefined
    const key = `${client.address} ${client.port} ${client.localAddress} ${client.localPort}`
    const known = this.#ofClients.get(key)
    if (known !== undefined) return known
    const made = new HostPool(this.owner, this.host, client)
    this.#ofClients.set(key, made)
    return made
  }

  get connections(): number {
    let count = this.#all.size + this.#http2.length
    for (const pool of this.#ofClients.values()) count += pool.connections
    return count
  }

  get idle(): number {
    return this.#idle.length
  }

  /** A connection or a stream at once; or 'waits': one of the user's methods is called later; or 'overflow' when too many wait already. */
  acquire(user: PoolUser): Upstream | 'waits' | 'overflow' {
    const ofClient = this.#poolOf(user)
    if (ofClient !== undefined) return ofClient.acquire(user)
    if (this.#speaks(user) !== 'http1') return this.#acquireStream(user)
    for (;;) {
      const connection = this.#idle.pop()
      if (connection === undefined) break
      if (!connection.spent && !connection.wire.closed && !this.#outlived(connection.standsSinceMs)) return connection
      connection.wire.destroy()
    }
    const owner = this.owner
    const { limits } = owner.plan
    if (owner.pending >= limits.pendingMax) return 'overflow'
    owner.pending += 1
    this.#waiting.push(user)
    this.#dialIfWanted()
    return 'waits'
  }

  #speaks(user: PoolUser): 'http1' | 'http2' | 'unknown' {
    if (user.needsHttp1) return 'http1'
    switch (this.owner.plan.protocol) {
      case 'http1':
        return 'http1'
      case 'http2':
        return 'http2'
      case 'as-downstream':
        return user.overHttp2 ? 'http2' : 'http1'
      case 'alpn':
        return this.host.tls?.alpn.includes('h2') === true ? (this.#negotiated ?? 'unknown') : 'http1'
    }
  }

  #outlived(standsSinceMs: number): boolean {
    const { longestMs } = this.owner.plan
    return longestMs !== undefined && this.owner.nowMs() - standsSinceMs >= longestMs
  }

  #acquireStream(user: PoolUser): Upstream | 'waits' | 'overflow' {
    for (const connection of [...this.#http2]) {
      if (this.#outlived(connection.standsSinceMs)) connection.retire()
      else if (connection.hasRoom) return connection.open()
    }
    const { owner } = this
    if (owner.pending >= owner.plan.limits.pendingMax) return 'overflow'
    owner.pending += 1
    this.#waitingStreams.push(user)
    this.#dialHttp2IfWanted()
    return 'waits'
  }

  /** One at a time: what it allows is known when it stands. */
  #dialHttp2IfWanted(): void {
    if (this.#waitingStreams.length === 0 || this.#connectingHttp2 > 0) return
    const { owner } = this
    if (owner.connections >= owner.plan.limits.connectionsMax && this.connections > 0) return
    this.#dial(true)
  }

  /** Streams of a connection came free, or its peer allows more. */
  onStreamsFree(connection: Http2Connection): void {
    while (this.#waitingStreams.length > 0 && connection.hasRoom) {
      const next = this.#waitingStreams.shift()
      if (next === undefined) return
      this.owner.pending -= 1
      next.onConnection(connection.open())
    }
    this.#dialHttp2IfWanted()
  }

  onHttp2Closed(connection: Http2Connection): void {
    const at = this.#http2.indexOf(connection)
    if (at < 0) return
    this.#http2.splice(at, 1)
    this.owner.connections -= 1
    this.#dialHttp2IfWanted()
    this.#dialIfWanted()
  }

  /** The user gave up waiting. */
  cancel(user: PoolUser): void {
    const ofClient = this.#poolOf(user)
    if (ofClient !== undefined) return ofClient.cancel(user)
    for (const queue of [this.#waiting, this.#waitingStreams]) {
      const at = queue.indexOf(user)
      if (at < 0) continue
      queue.splice(at, 1)
      this.owner.pending -= 1
      return
    }
  }

  release(connection: UpstreamConnection): void {
    if (connection.wire.closed) return
    const perConnection = this.owner.plan.requestsPerConnectionMax
    if (connection.spent || this.#closed || (perConnection > 0 && connection.requests >= perConnection) || this.#outlived(connection.standsSinceMs)) {
      connection.spent = true
      connection.wire.destroy()
      return
    }
    this.#offer(connection)
  }

  /** Whoever waits longest gets it. */
  #offer(connection: UpstreamConnection): void {
    const next = this.#waiting.shift()
    if (next !== undefined) {
      this.owner.pending -= 1
      next.onConnection(connection)
      return
    }
    connection.idleSinceMs = this.owner.nowMs()
    this.#idle.push(connection)
  }

  #dialIfWanted(): void {
    if (this.#waiting.length <= this.#connecting) return
    const { owner } = this
    // An endpoint without any connection may always have one: else a full cluster could starve it for good (Envoy does the same).
    if (owner.connections >= owner.plan.limits.connectionsMax && this.connections > 0) return
    this.#dial(false)
  }

  #dial(forStreams: boolean): void {
    const { owner, host } = this
    const connection = new UpstreamConnection(this)
    connection.forStreams = forStreams
    const tlsPlan = host.tls
    const { address, port, further } = host.plan
    const client = this.#client
    const first = owner.plan.proxyHeader === undefined ? undefined : writeProxyHeader(owner.plan.proxyHeader, client && { source: client, destination: { address: client.localAddress, port: client.localPort } })
    if (tlsPlan === undefined) {
      connection.wire = dialPlain(address, port, connection, first, () => this.#connected(connection), further)
    } else {
      const context = owner.secrets.clientContext(tlsPlan)
      if (context === undefined) {
        // No certificate yet: nothing is sent in the clear instead.
        this.#failWaiting(forStreams, 'TLS_error:Secret_is_not_supplied_by_SDS')
        return
      }
      connection.wire = dialTls(address, port, { context, serverName: tlsPlan.sni, alpn: forStreams ? http2Alpn(tlsPlan.alpn, owner.plan.protocol === 'alpn') : http1Alpn(tlsPlan.alpn), first }, connection, (socket) => this.#secured(connection, socket, tlsPlan), further)
    }
    connection.connectDeadlineMs = owner.nowMs() + owner.plan.connectTimeoutMs
    if (forStreams) this.#connectingHttp2 += 1
    else this.#connecting += 1
    this.#all.add(connection)
    owner.connections += 1
    owner.connecting.add(connection)
  }

  #secured(connection: UpstreamConnection, socket: TLSSocket, plan: ClientTlsPlan): void {
    const problem = judgeServer(socket, plan)
    if (problem !== '') {
      connection.failure = problem
      connection.wire.destroy()
      return
    }
    connection.secure = plan.certificate !== undefined
    const certificate = socket.getPeerX509Certificate()
    if (certificate !== undefined && plan.unverified !== true) this.owner.recognize(this.host, uriSansOf(certificate)[0] ?? '')
    if (connection.forStreams && this.owner.plan.protocol === 'alpn') {
      this.#negotiated = socket.alpnProtocol === 'h2' ? 'http2' : 'http1'
      if (this.#negotiated === 'http1') this.#fallBack(connection)
    }
    this.#connected(connection)
  }

  #connected(connection: UpstreamConnection): void {
    connection.connected = true
    connection.standsSinceMs = this.owner.nowMs()
    keepAlive(connection.wire.socket, this.owner.plan)
    this.owner.connecting.delete(connection)
    if (!connection.forStreams) {
      this.#connecting -= 1
      this.#offer(connection)
      return
    }
    this.#connectingHttp2 -= 1
    this.#all.delete(connection)
    const shared = new Http2Connection(this, connection.wire, connection.secure)
    this.#http2.push(shared)
    if (this.#closed) shared.retire()
    else this.onStreamsFree(shared)
  }

  /** The peer was offered both and speaks HTTP/1.1: who waits for a stream waits for a connection now. */
  #fallBack(connection: UpstreamConnection): void {
    connection.forStreams = false
    this.#connectingHttp2 -= 1
    this.#connecting += 1
    this.#waiting.push(...this.#waitingStreams.splice(0))
    for (let i = this.#waiting.length; i > 1; i--) this.#dialIfWanted()
  }

  /** The connect timeout passed. */
  onConnectTimeout(connection: UpstreamConnection): void {
    connection.failure = 'timeout'
    connection.wire.destroy()
  }

  onConnectionClosed(connection: UpstreamConnection, error: string): void {
    const { owner } = this
    if (!this.#all.delete(connection)) return
    owner.connections -= 1
    if (!connection.connected) {
      if (connection.forStreams) this.#connectingHttp2 -= 1
      else this.#connecting -= 1
      owner.connecting.delete(connection)
      owner.connectFailures += 1
      this.#failWaiting(connection.forStreams, connection.failure === 'timeout' ? '' : connection.failure || describeConnectError(error))
      return
    }
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
    this.#dialIfWanted()
  }

  /** As Envoy does: a failed connection fails all that wait for this endpoint, so that they can be retried elsewhere. */
  #failWaiting(forStreams: boolean, why: string): void {
    const waiting = (forStreams ? this.#waitingStreams : this.#waiting).splice(0)
    this.owner.pending -= waiting.length
    for (const user of waiting) user.onConnectFailure(why)
  }

  sweepIdle(nowMs: number, idleTimeoutMs: number): void {
    for (const connection of [...this.#http2]) connection.sweep(nowMs, idleTimeoutMs)
    for (const [key, pool] of this.#ofClients) {
      // A client that has gone does not come back under its port.
      pool.sweepIdle(nowMs, idleTimeoutMs > 0 ? Math.min(idleTimeoutMs, CLIENT_IDLE_MS) : CLIENT_IDLE_MS)
      if (pool.connections === 0 && pool.#waiting.length + pool.#waitingStreams.length === 0) this.#ofClients.delete(key)
    }
    if (idleTimeoutMs <= 0) return
    for (const connection of this.#idle) {
      if (nowMs - connection.idleSinceMs < idleTimeoutMs) break
      connection.spent = true
      connection.wire.destroy()
    }
  }

  /** Idle connections close now, busy ones after their request. */
  drain(closeForGood: boolean): void {
    this.#closed ||= closeForGood
    for (const connection of this.#idle.splice(0)) connection.wire.destroy()
    for (const connection of this.#all) connection.spent = connection.connected || connection.spent
    this.#negotiated = undefined
    for (const connection of [...this.#http2]) connection.retire()
    for (const pool of this.#ofClients.values()) pool.drain(closeForGood)
  }

  destroy(): void {
    this.#closed = true
    for (const connection of this.#all) connection.wire.destroy()
    for (const connection of this.#http2) connection.destroy()
    for (const pool of this.#ofClients.values()) pool.destroy()
  }
}

const describeConnectError = (code: string): string => (code === 'ECONNREFUSED' ? 'delayed connect error: Connection refused' : code === '' ? 'connection closed during handshake' : `delayed connect error: ${code}`)
