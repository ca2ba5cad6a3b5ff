import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import type { Clock } from '#core/time/clock.ts'
import type { Cluster } from './cluster.ts'
import type { UpstreamHost } from './host.ts'
import { judgeServer } from './judge-server.ts'

/** What the proxy itself asks of a service: an issuer for its keys, an authorizer for its verdict. */
export interface CalloutRequest {
  readonly method: string
  readonly path: string
  readonly authority: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Uint8Array | undefined
  readonly timeoutMs: number
}

export interface CalloutAnswer {
  readonly status: number
  /** As they came: name, value. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Buffer
}

export interface GrpcCall {
  readonly authority: string
  readonly metadata: readonly (readonly [name: string, value: string])[]
  readonly timeoutMs: number
  /** Nothing need be said beside the status: what is called is a stream that we have ended. */
  readonly mayBeMute?: true
}

/** An answer larger than this is no answer. */
const ANSWER_BYTES_MAX = 1024 * 1024
/** HTTP/1.1 connections that are kept to one endpoint. */
const IDLE_MAX = 16
/** An idle one closes after this: its endpoint may be gone. */
const IDLE_MS = 60_000

/**
 * Requests of the proxy's own, over a cluster's endpoints, balancing and TLS, on connections that no application's request shares. Node's own clients speak here:
 * they are slower than the data path's codecs, and a request that waits for another service's verdict does not notice.
 */
export class Callouts {
  readonly #clock: Clock
  /** By endpoint and port; they go with their endpoint. */
  readonly #agents = new WeakMap<UpstreamHost, Map<number, http.Agent>>()
  readonly #sessions = new WeakMap<UpstreamHost, Map<number, http2.ClientHttp2Session>>()
  readonly #all = new Set<WeakRef<http.Agent>>()
  readonly #open = new Set<http2.ClientHttp2Session>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves with whatever status came. @throws Error in few words when none did */
  async ask(cluster: Cluster | undefined, request: CalloutRequest): Promise<CalloutAnswer> {
    const { host, finish } = this.#begin(cluster)
    try {
      const answer = await this.askHost(host, request, host.plan.port)
      finish(answer.status)
      return answer
    } catch (error) {
      finish('reset')
      throw error
    }
  }

  /** The same of one endpoint, at that port; counts nowhere. */
  askHost(host: UpstreamHost, request: CalloutRequest, port: number): Promise<CalloutAnswer> {
    return host.pool.owner.plan.protocol === 'http2' ? this.#askHttp2(host, request, port) : this.#askHttp1(host, request, port)
  }

  /** One unary gRPC call; the message as bytes. @throws Error when the status is not OK, or none came */
  async call(cluster: Cluster | undefined, method: string, message: Uint8Array, how: GrpcCall): Promise<Buffer> {
    const { host, finish } = this.#begin(cluster)
    try {
      const answer = await this.callHost(host, method, message, how, host.plan.port)
      finish(200)
      return answer
    } catch (error) {
      finish('reset')
      throw error
    }
  }

  /** The same of one endpoint, at that port; counts nowhere. */
  async callHost(host: UpstreamHost, method: string, message: Uint8Array, how: GrpcCall, port: number): Promise<Buffer> {
    const frame = Buffer.alloc(5 + message.length)
    frame.writeUInt32BE(message.length, 1)
    frame.set(message, 5)
    const headers: [string, string][] = [['content-type', 'application/grpc'], ['te', 'trailers'], ['grpc-timeout', `${Math.ceil(how.timeoutMs)}m`], ...how.metadata.map(([name, value]): [string, string] => [name, value])]
    const answer = await this.#askHttp2(host, { method: 'POST', path: method, authority: how.authority, headers, body: frame, timeoutMs: how.timeoutMs }, port)
    const status = answer.headers.findLast(([name]) => name === 'grpc-status')?.[1]
    if (answer.status !== 200 || status !== '0') throw new Error(`gRPC status ${status ?? `none, HTTP ${answer.status}`}`)
    if (how.mayBeMute === true && answer.body.length === 0) return answer.body
    if (answer.body.length < 5 || answer.body[0] !== 0 || answer.body.readUInt32BE(1) !== answer.body.length - 5) throw new Error('no gRPC message')
    return answer.body.subarray(5)
  }

  #begin(cluster: Cluster | undefined): { host: UpstreamHost; finish: (outcome: number | 'reset') => void } {
    if (cluster === undefined) throw new Error('no such cluster')
    if (cluster.requests >= cluster.plan.limits.requestsMax) throw new Error('overflow')
    const host = cluster.pick(undefined, undefined, 0)
    if (host === undefined) throw new Error('no healthy upstream')
    cluster.requests += 1
    cluster.requestsTotal += 1
    host.active += 1
    let over = false
    return {
      host,
      finish(outcome) {
        if (over) return
        over = true
        cluster.requests -= 1
        host.active -= 1
        cluster.record(host, outcome)
      },
    }
  }

  #askHttp1(host: UpstreamHost, { method, path, authority, headers, body, timeoutMs }: CalloutRequest, port: number): Promise<CalloutAnswer> {
    return new Promise((resolve, reject) => {
      const fields: string[] = ['host', authority]
      for (const [name, value] of headers) if (name !== 'host' && name !== 'content-length') fields.push(name, value)
      fields.push('content-length', String(body?.length ?? 0))
      const request = http.request({ agent: this.#agentOf(host, port), method, path, headers: fields, setHost: false, setDefaultHeaders: false })
      const timer = this.#clock.after(timeoutMs, () => request.destroy(new Error('timeout')))
      request.once('close', () => timer.cancel())
      request.on('error', reject)
      request.on('response', (response) => {
        collect(response, (bytes) => resolve({ status: response.statusCode ?? 0, headers: pairs(response.rawHeaders), body: bytes }), reject)
      })
      request.end(body)
    })
  }

  #agentOf(host: UpstreamHost, port: number): http.Agent {
    const known = this.#agents.get(host)?.get(port)
    if (known !== undefined) return known
    const agent = new http.Agent({ keepAlive: true, maxFreeSockets: IDLE_MAX, timeout: IDLE_MS })
    agent.createConnection = (_options, made) => {
      connectTo(host, port, ['http/1.1'], host.pool.owner.plan.connectTimeoutMs, this.#clock).then(
        (socket) => made?.(null, socket),
        (error: Error) => made?.(error, new net.Socket()),
      )
      return undefined
    }
    entryOf(this.#agents, host).set(port, agent)
    for (const one of this.#all) if (one.deref() === undefined) this.#all.delete(one)
    this.#all.add(new WeakRef(agent))
    return agent
  }

  async #askHttp2(host: UpstreamHost, { method, path, authority, headers, body, timeoutMs }: CalloutRequest, port: number): Promise<CalloutAnswer> {
    const session = this.#sessions.get(host)?.get(port) ?? (await this.#sessionOf(host, port))
    return new Promise((resolve, reject) => {
      const fields: Record<string, string | string[]> = { ':method': method, ':path': path, ':authority': authority, ':scheme': host.tls === undefined ? 'http' : 'https' }
      for (const [name, value] of headers) {
        if (name === 'host' || name === 'content-length' || name === 'connection') continue
        const before = fields[name]
        fields[name] = before === undefined ? value : [...(typeof before === 'string' ? [before] : before), value]
      }
      const stream = session.request(fields, { endStream: body === undefined })
      const timer = this.#clock.after(timeoutMs, () => stream.destroy(new Error('timeout')))
      const answered: [string, string][] = []
      const take = (from: object): void => {
        for (const [name, value] of Object.entries(from)) for (const one of Array.isArray(value) ? value : [value]) if (!name.startsWith(':')) answered.push([name, String(one)])
      }
      let status = 0
      stream.once('close', () => {
        timer.cancel()
        reject(new Error('the stream ended without an answer'))
      })
      stream.on('error', reject)
      stream.on('response', (head) => {
        status = head[':status'] ?? 0
        take(head)
      })
      stream.on('trailers', take)
      collect(stream, (bytes) => resolve({ status, headers: answered, body: bytes }), reject)
      if (body !== undefined) stream.end(body)
    })
  }

  async #sessionOf(host: UpstreamHost, port: number): Promise<http2.ClientHttp2Session> {
    const socket = await connectTo(host, port, ['h2'], host.pool.owner.plan.connectTimeoutMs, this.#clock)
    const sessions = entryOf(this.#sessions, host)
    const known = sessions.get(port)
    if (known !== undefined) {
      // Another call was first.
      socket.destroy()
      return known
    }
    const session = http2.connect('http://callout', { createConnection: () => socket })
    sessions.set(port, session)
    this.#open.add(session)
    const forget = (): void => {
      if (sessions.get(port) === session) sessions.delete(port)
      this.#open.delete(session)
    }
    session.on('goaway', forget)
    session.on('error', forget)
    session.on('close', forget)
    // An idle session does not keep the process alive.
    session.unref()
    return session
  }

  close(): void {
    for (const agent of this.#all) agent.deref()?.destroy()
    for (const session of this.#open) session.destroy()
  }
}

function entryOf<Value>(all: WeakMap<UpstreamHost, Map<number, Value>>, host: UpstreamHost): Map<number, Value> {
  const known = all.get(host)
  if (known !== undefined) return known
  const made = new Map<number, Value>()
  all.set(host, made)
  return made
}

function collect(stream: NodeJS.ReadableStream & { destroy(error?: Error): unknown }, done: (bytes: Buffer) => void, failed: (error: Error) => void): void {
  const chunks: Buffer[] = []
  let length = 0
  stream.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length > ANSWER_BYTES_MAX) stream.destroy(new Error('the answer is too large'))
    else chunks.push(chunk)
  })
  stream.on('error', failed)
  stream.on('end', () => done(Buffer.concat(chunks)))
}

function pairs(raw: readonly string[]): [string, string][] {
  const found: [string, string][] = []
  for (let at = 0; at + 1 < raw.length; at += 2) found.push([(raw[at] ?? '').toLowerCase(), raw[at + 1] ?? ''])
  return found
}

/** A connection to an endpoint, secured and judged as its cluster's plan says. */
export function connectTo(host: UpstreamHost, port: number, alpn: readonly string[], timeoutMs: number, clock: Clock): Promise<Duplex> {
  const { tls: plan } = host
  const { owner } = host.pool
  const { address } = host.plan
  return new Promise((resolve, reject) => {
    const context = plan && owner.secrets.clientContext(plan)
    if (plan !== undefined && context === undefined) {
      reject(new Error('a secret is not there'))
      return
    }
    const socket =
      plan === undefined
        ? net.connect({ host: address, port, noDelay: true })
        : tls.connect({ host: address, port, ...(context && { secureContext: context }), servername: net.isIP(plan.sni) === 0 ? plan.sni : '', ...(alpn.length > 0 && { ALPNProtocols: [...alpn] }), rejectUnauthorized: false, checkServerIdentity: () => undefined })
    const timer = clock.after(timeoutMs, () => socket.destroy(new Error('connection timeout')))
    socket.on('error', (error) => {
      timer.cancel()
      reject(error)
    })
    socket.once(plan === undefined ? 'connect' : 'secureConnect', () => {
      timer.cancel()
      const problem = plan !== undefined && socket instanceof tls.TLSSocket ? judgeServer(socket, plan) : ''
      if (problem === '') resolve(socket)
      else {
        socket.destroy()
        reject(new Error(problem))
      }
    })
  })
}
