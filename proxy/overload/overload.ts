import type { Limits } from './limits.ts'

/** Which bound a request or a connection met: the word of logs and metrics. */
export type Bound = 'connections' | 'address_connections' | 'requests' | 'memory' | 'handshake_time'

const BOUNDS: readonly Bound[] = ['connections', 'address_connections', 'requests', 'memory', 'handshake_time']

/** Below this share of the bound requests are taken again, so that a proxy at its bound does not flap. */
const EASED = 0.95

/** Counts what a proxy has taken upon itself, and says when it is too much. */
export class Overload {
  readonly limits: Limits
  /** Turned away, by the bound that was met. */
  readonly shed: Record<Bound, number> = { connections: 0, address_connections: 0, requests: 0, memory: 0, handshake_time: 0 }
  connections = 0
  readonly #byAddress = new Map<string, number>()
  #full = false

  constructor(limits: Limits) {
    this.limits = limits
  }

  /** False: the connection is one too many. Else `closed` is owed for it. */
  opens(): boolean {
    const { connectionsMax } = this.limits
    if (connectionsMax > 0 && this.connections >= connectionsMax) return this.#sheds('connections')
    this.connections += 1
    return true
  }

  closed(): void {
    this.connections -= 1
  }

  /** The same of one client; `leaves` is owed with the same address. */
  enters(address: string): boolean {
    const { addressConnectionsMax } = this.limits
    if (addressConnectionsMax === 0) return true
    const key = clientKey(address)
    const count = this.#byAddress.get(key) ?? 0
    if (count >= addressConnectionsMax) return this.#sheds('address_connections')
    this.#byAddress.set(key, count + 1)
    return true
  }

  leaves(address: string): void {
    if (this.limits.addressConnectionsMax === 0) return
    const key = clientKey(address)
    const count = this.#byAddress.get(key) ?? 0
    if (count > 1) this.#byAddress.set(key, count - 1)
    else this.#byAddress.delete(key)
  }

  /** A client did not finish its TLS handshake in time. */
  lateHandshake(): void {
    this.shed.handshake_time += 1
  }

  /** Of those that were turned away. */
  counts(): [Bound, number][] {
    return BOUNDS.map((bound) => [bound, this.shed[bound]])
  }

  /** What the bound is; 0 where each listener has its own. */
  limitOf(bound: Bound): number {
    const { connectionsMax, addressConnectionsMax, requestsMax, memoryBytesMax } = this.limits
    return { connections: connectionsMax, address_connections: addressConnectionsMax, requests: requestsMax, memory: memoryBytesMax, handshake_time: 0 }[bound]
  }

  /** The bound that one more request would pass, `active` of them under way with it; undefined: it may come. */
  bound(active: number): 'requests' | 'memory' | undefined {
    const { requestsMax } = this.limits
    const met = this.#full ? 'memory' : requestsMax > 0 && active > requestsMax ? 'requests' : undefined
    if (met !== undefined) this.shed[met] += 1
    return met
  }

  /** Told once a second. */
  measure(residentBytes: number): void {
    const { memoryBytesMax } = this.limits
    if (memoryBytesMax === 0) return
    this.#full = residentBytes >= memoryBytesMax * (this.#full ? EASED : 1)
  }

  /** Nothing more may be kept alive. */
  get full(): boolean {
    return this.#full
  }

  #sheds(bound: Bound): false {
    this.shed[bound] += 1
    return false
  }
}

/** Whoever has one IPv6 address has a /64 of them (RFC 6177 §2). */
function clientKey(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  const behind = tail === undefined || tail === '' ? 0 : tail.split(':').length
  const missing = tail === undefined ? 0 : 8 - groups.length - behind
  const all = [...groups, ...Array.from({ length: Math.max(0, missing) }, () => '0'), ...(tail === undefined || tail === '' ? [] : tail.split(':'))]
  return all.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16)).join(':')
}
