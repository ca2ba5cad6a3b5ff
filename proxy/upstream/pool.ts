import type { TLSSocket } from 'node:tls'
import type { ClientTlsPlan, ClusterPlan } from '#core/plan/plan.ts'
import { dialPlain, dialTls } from '../http/socket.ts'
import type { SecretSource } from '../sources.ts'
import { uriSansOf, dnsSansOf } from '../listener/peer-certificate.ts'
import { UpstreamConnection } from './connection.ts'
import type { UpstreamHost } from './host.ts'

/** A request that waits for a connection. */
export interface PoolUser {
  onConnection(connection: UpstreamConnection): void
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
  /** Connections being made, for the sweep of connect timeouts. */
  readonly connecting: Set<UpstreamConnection>
}

/**
 * HTTP/1.1 connections to one endpoint. Circuit breakers count as Envoy's: connections and pending requests over the whole cluster;
 * a request that finds no idle connection is pending until one is made or comes back.
 */
export class HostPool {
  readonly owner: PoolOwner
  readonly host: UpstreamHost
  readonly #idle: UpstreamConnection[] = []
  readonly #all = new Set<UpstreamConnection>()
  readonly #waiting: PoolUser[] = []
  #connecting = 0
  #closed = false

  constructor(owner: PoolOwner, host: UpstreamHost) {
    this.owner = owner
    this.host = host
  }

  get connections(): number {
    return this.#all.size
  }

  get idle(): number {
    return this.#idle.length
  }

  /** An idle connection at once; or 'waits': one of the user's methods is called later; or 'overflow' when too many wait already. */
  acquire(user: PoolUser): UpstreamConnection | 'waits' | 'overflow' {
    for (;;) {
      const connection = this.#idle.pop()
      if (connection === undefined) break
      if (!connection.spent && !connection.wire.closed) return connection
    }
    const owner = this.owner
    const { limits } = owner.plan
    if (owner.pending >= limits.pendingMax) return 'overflow'
    owner.pending += 1
    this.#waiting.push(user)
    this.#dialIfWanted()
    return 'waits'
  }

  /** The user gave up waiting. */
  cancel(user: PoolUser): void {
    const at = this.#waiting.indexOf(user)
    if (at < 0) return
    this.#waiting.splice(at, 1)
    this.owner.pending -= 1
  }

  release(connection: UpstreamConnection): void {
    if (connection.wire.closed) return
    const perConnection = this.owner.plan.requestsPerConnectionMax
    if (connection.spent || this.#closed || (perConnection > 0 && connection.requests >= perConnection)) {
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
    if (owner.connections >= owner.plan.limits.connectionsMax && this.#all.size > 0) return
    this.#dial()
  }

  #dial(): void {
    const { owner, host } = this
    const connection = new UpstreamConnection(this)
    const tlsPlan = host.tls
    const { address, port } = host.plan
    if (tlsPlan === undefined) {
      connection.wire = dialPlain(address, port, connection, () => this.#connected(connection))
    } else {
      const context = owner.secrets.clientContext(tlsPlan)
      if (context === undefined) {
        // No certificate yet: nothing is sent in the clear instead.
        this.#failWaiting('TLS_error:Secret_is_not_supplied_by_SDS')
        return
      }
      connection.wire = dialTls(address, port, { context, serverName: tlsPlan.sni, alpn: http1Alpn(tlsPlan.alpn) }, connection, (socket) => this.#secured(connection, socket, tlsPlan))
    }
    connection.connectDeadlineMs = owner.nowMs() + owner.plan.connectTimeoutMs
    this.#connecting += 1
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
    this.#connected(connection)
  }

  #connected(connection: UpstreamConnection): void {
    connection.connected = true
    this.#connecting -= 1
    this.owner.connecting.delete(connection)
    this.#offer(connection)
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
      this.#connecting -= 1
      owner.connecting.delete(connection)
      owner.connectFailures += 1
      this.#failWaiting(connection.failure === 'timeout' ? '' : connection.failure || describeConnectError(error))
      return
    }
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
    this.#dialIfWanted()
  }

  /** As Envoy does: a failed connection fails all that wait for this endpoint, so that they can be retried elsewhere. */
  #failWaiting(why: string): void {
    const waiting = this.#waiting.splice(0)
    this.owner.pending -= waiting.length
    for (const user of waiting) user.onConnectFailure(why)
  }

  sweepIdle(nowMs: number, idleTimeoutMs: number): void {
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
  }

  destroy(): void {
    this.#closed = true
    for (const connection of this.#all) connection.wire.destroy()
  }
}

/** What we can speak: h2 is not offered, lest the server choose it. */
const http1Alpn = (alpn: readonly string[]): readonly string[] => alpn.filter((protocol) => protocol !== 'h2' && protocol !== 'istio-h2')

/** Empty when the server's certificate leads to our roots and bears one of the names that the plan allows. */
export function judgeServer(socket: TLSSocket, plan: ClientTlsPlan): string {
  if (plan.trust === undefined) return ''
  if (!socket.authorized) return `TLS_error:CERTIFICATE_VERIFY_FAILED:${String(socket.authorizationError)}`
  if (plan.allowedSans.length === 0) return ''
  const certificate = socket.getPeerX509Certificate()
  const names = certificate === undefined ? [] : [...uriSansOf(certificate), ...dnsSansOf(certificate)]
  return plan.allowedSans.some((allowed) => names.some((name) => allowed.matches(name))) ? '' : 'TLS_error:CERTIFICATE_VERIFY_FAILED:SAN_matcher'
}

const describeConnectError = (code: string): string => (code === 'ECONNREFUSED' ? 'delayed connect error: Connection refused' : code === '' ? 'connection closed during handshake' : `delayed connect error: ${code}`)
