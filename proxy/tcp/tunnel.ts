import type { WireHandler } from '../http/socket.ts'

/** Tunnels under way, for sweeps and for shutting down. */
export interface TunnelOwner {
  readonly tunnels: Set<Tunnel>
  sweptMs: number
}

/** What a tunnel needs of either end: a wire, or a stream of a multiplexed connection. */
export interface TunnelEnd {
  handler: WireHandler
  readonly closed: boolean
  readonly congested: boolean
  putBytes(bytes: Buffer, start: number, end: number): void
  flush(): void
  pause(): void
  resume(): void
  end(): void
  destroy(): void
}

/** What an ended tunnel still has to send may take this long. */
const LINGER_MS = 1000

/** Bytes both ways between two connections, each waiting for the other when it must; half-closes are passed on. */
export class Tunnel {
  readonly #owner: TunnelOwner
  readonly #client: TunnelEnd
  readonly #server: TunnelEnd
  readonly #idleTimeoutMs: number
  readonly #halfCloses: boolean
  #closeByMs = 0
  #deadlineMs = 0
  readonly #over: (sentBytes: number, receivedBytes: number) => void
  sentBytes = 0
  receivedBytes = 0
  #clientEnded = false
  #serverEnded = false
  #lastActiveMs: number
  /** It was cut because its time was over. */
  outlived = false
  /** Is told what passed so far when somebody wants to know: it may last for days. */
  onAsked: ((sentBytes: number, receivedBytes: number) => void) | undefined = undefined
  #done = false

  /** `over` runs once, when both are closed or one broke. `idleTimeoutMs` 0: none. Without `halfCloses` the end of one direction ends both, as for upgraded HTTP connections. */
  constructor(owner: TunnelOwner, client: TunnelEnd, server: TunnelEnd, idleTimeoutMs: number, halfCloses: boolean, over: (sentBytes: number, receivedBytes: number) => void) {
    this.#owner = owner
    this.#client = client
    this.#server = server
    this.#idleTimeoutMs = idleTimeoutMs
    this.#halfCloses = halfCloses
    this.#over = over
    this.#lastActiveMs = owner.sweptMs
    owner.tunnels.add(this)
  }

  /** Bytes that were read from either side before are passed on first. */
  begin(fromClient: Buffer | undefined, fromServer: Buffer | undefined): void {
    this.#client.handler = this.#side(true)
    this.#server.handler = this.#side(false)
    if (fromClient !== undefined) this.#pass(true, fromClient, fromClient.length)
    if (fromServer !== undefined) this.#pass(false, fromServer, fromServer.length)
    this.#client.resume()
    this.#server.resume()
    if (this.#client.closed || this.#server.closed) this.#finish()
  }

  #side(isClient: boolean): WireHandler {
    return {
      onRead: (bytes, length) => this.#pass(isClient, bytes, length),
      onReadEnd: () => this.#ended(isClient),
      onWritable: () => (isClient ? this.#server : this.#client).resume(),
      onClosed: (error) => {
        // Both directions ended in order; only then may the other side still be sending what is left.
        if (error === '' && this.#clientEnded && this.#serverEnded) this.#finishWhenClosed()
        else this.#finish()
      },
    }
  }

  #pass(fromClient: boolean, bytes: Buffer, length: number): void {
    if (this.#done) return
    this.#lastActiveMs = this.#owner.sweptMs
    if (fromClient) this.sentBytes += length
    else this.receivedBytes += length
    const to = fromClient ? this.#server : this.#client
    to.putBytes(bytes, 0, length)
    to.flush()
    if (to.congested) (fromClient ? this.#client : this.#server).pause()
  }

  #ended(isClient: boolean): void {
    if (isClient) this.#clientEnded = true
    else this.#serverEnded = true
    ;(isClient ? this.#server : this.#client).end()
    if (this.#halfCloses) return
    this.#clientEnded = true
    this.#serverEnded = true
    ;(isClient ? this.#client : this.#server).end()
    this.#closeByMs = this.#owner.sweptMs + LINGER_MS
  }

  #finishWhenClosed(): void {
    if (this.#client.closed && this.#server.closed) this.#finish()
  }

  /** It is cut by then, in the midst of whatever passes. Monotonic milliseconds. */
  endsBy(deadlineMs: number): void {
    this.#deadlineMs = deadlineMs
  }

  sweep(nowMs: number): void {
    if (this.#deadlineMs > 0 && nowMs >= this.#deadlineMs) {
      this.outlived = true
      return this.#finish()
    }
    if (this.#closeByMs > 0 && nowMs >= this.#closeByMs) this.#finish()
    else if (this.#idleTimeoutMs > 0 && nowMs - this.#lastActiveMs >= this.#idleTimeoutMs) this.#finish()
  }

  tell(): void {
    this.onAsked?.(this.sentBytes, this.receivedBytes)
  }

  /** Cuts it. */
  destroy(): void {
    this.#finish()
  }

  #finish(): void {
    if (this.#done) return
    this.#done = true
    this.#owner.tunnels.delete(this)
    this.#client.destroy()
    this.#server.destroy()
    this.#over(this.sentBytes, this.receivedBytes)
  }
}
