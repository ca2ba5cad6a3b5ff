import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { type AddressInfo, createServer, isIPv6, type Server, type Socket } from 'node:net'
import type { SocketAddress } from '#core/workload/workload.ts'
import type { Log } from '../admin/log.ts'
import type { Forwarder } from './forwarder.ts'
import { framed, messagesIn } from './frames.ts'
import { answer, type Query, readQuery, refusal, serverFailure, TCP_BYTES_MAX } from './message.ts'
import type { NameBook } from './name-book.ts'

const CONNECTIONS_MAX = 256
const IDLE_MS = 10_000
const PORT_TRIES = 20
/** Questions of one connection that may wait at once; more are read when some are answered. */
const PIPELINED_MAX = 32

/** What was asked so far, for metrics. */
export interface DnsCounts {
  /** Answered from the mesh's names. */
  local: number
  forwarded: number
  /** Nobody could be asked, or nobody answered. */
  failed: number
  /** No question that could be read. */
  malformed: number
}

/** The resolver that an application's look-ups are redirected to: names of the mesh from the book, all others from the host's own resolvers. UDP and TCP. */
export class DnsServer {
  readonly counts: DnsCounts = { local: 0, forwarded: 0, failed: 0, malformed: 0 }
  readonly #book: NameBook
  readonly #forwarder: Forwarder
  readonly #udp: UdpSocket[] = []
  readonly #tcp: Server[] = []
  readonly #connections = new Set<Socket>()
  #closed = false

  constructor(book: NameBook, forwarder: Forwarder) {
    this.#book = book
    this.#forwarder = forwarder
  }

  /** Binds both; a port of 0 is the system's choice, the same for both. Others of this user may bind the same, so that a newer process can take over. @throws Error when one cannot be bound */
  async listen({ address, port }: SocketAddress, log: Log): Promise<number> {
    for (let tries = 1; ; tries++) {
      const tcp = await this.#bindTcp(address, port)
      const { port: bound } = tcp.address() as AddressInfo
      try {
        const udp = await this.#bindUdp(address, bound)
        udp.on('error', (error) => log.warn('dns.failed', { error: error.message }))
        this.#tcp.push(tcp)
        this.#udp.push(udp)
        log.info('dns.listening', { address, port: bound })
        return bound
      } catch (error) {
        tcp.close()
        // What the system chose for one may be taken for the other.
        if (port !== 0 || tries === PORT_TRIES) throw error
      }
    }
  }

  async #bindTcp(address: string, port: number): Promise<Server> {
    const tcp = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket))
    tcp.maxConnections = CONNECTIONS_MAX
    await new Promise<void>((resolve, reject) => {
      tcp.once('error', reject)
      tcp.listen({ port, host: address, reusePort: true, ipv6Only: isIPv6(address) }, resolve)
    })
    return tcp
  }

  async #bindUdp(address: string, port: number): Promise<UdpSocket> {
    const udp = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', reusePort: true, ...(isIPv6(address) ? { ipv6Only: true } : {}) })
    udp.on('message', (bytes, from) => {
      // No one can answer a datagram that claims to come from port 0.
      if (from.port !== 0) void this.#respond(bytes, 'udp').then((answered) => answered && !this.#closed && udp.send(answered, from.port, from.address, () => {}))
    })
    await new Promise<void>((resolve, reject) => {
      udp.once('error', (error) => (udp.close(), reject(error)))
      udp.bind(port, address, resolve)
    })
    udp.removeAllListeners('error')
    return udp
  }

  close(): void {
    this.#closed = true
    for (const one of this.#udp) one.close()
    for (const one of this.#tcp) one.close()
    for (const one of this.#connections) one.destroy()
  }

  async #respond(bytes: Buffer, over: 'udp' | 'tcp'): Promise<Buffer | undefined> {
    const query = readQuery(bytes)
    if (query === undefined) {
      this.counts.malformed += 1
      return refusal(bytes)
    }
    const known = this.#known(query)
    if (known !== undefined) {
      this.counts.local += 1
      return answer(query, known, over === 'udp' ? query.udpBytes : TCP_BYTES_MAX)
    }
    const answered = await this.#forwarder.ask(bytes, over)
    this.counts[answered === undefined ? 'failed' : 'forwarded'] += 1
    return answered ?? serverFailure(query)
  }

  /** Only addresses are the mesh's to tell; all else of a name is its owner's. */
  #known(query: Query): ReturnType<NameBook['find']> {
    return query.isInternet && (query.type === 'A' || query.type === 'AAAA') ? this.#book.find(query.name) : undefined
  }

  #serve(socket: Socket): void {
    this.#connections.add(socket)
    let waiting = 0
    let ended = false
    socket.setTimeout(IDLE_MS, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#connections.delete(socket))
    const finish = (): void => void (ended && waiting === 0 && socket.end())
    const take = messagesIn((message) => {
      waiting += 1
      if (waiting >= PIPELINED_MAX) socket.pause()
      void this.#respond(Buffer.from(message), 'tcp').then((answered) => {
        waiting -= 1
        if (answered !== undefined && socket.writable) socket.write(framed(answered))
        if (waiting < PIPELINED_MAX) socket.resume()
        finish()
      })
    })
    socket.on('data', take)
    socket.on('end', () => {
      ended = true
      finish()
    })
  }
}
