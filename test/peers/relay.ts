import net from 'node:net'

type Flow = 'flows' | 'held' | 'lost'

/** A TCP relay before a server, whose connections a test cuts at the moment it chooses. */
export class Relay {
  readonly #server: net.Server
  /** Where new connections go, on loopback. */
  port: number
  readonly #pairs = new Set<readonly [net.Socket, net.Socket]>()
  /** Looks at what a client says; answering true cuts the connection before that goes on. */
  cutWhen: ((chunk: Buffer) => boolean) | undefined
  /** While false, connections are refused by being closed. */
  open = true
  cuts = 0
  /** What becomes of what a client says, and of what it is told: it goes on, it is left in the sender's hands, or it is lost. */
  #toServer: Flow = 'flows'
  #toClient: Flow = 'flows'

  private constructor(port: number) {
    this.port = port
    this.#server = net.createServer((near) => this.#join(near))
  }

  static async start(port: number): Promise<Relay> {
    const relay = new Relay(port)
    await new Promise<void>((resolve) => relay.#server.listen(0, '127.0.0.1', resolve))
    return relay
  }

  get address(): string {
    const at = this.#server.address()
    if (at === null || typeof at === 'string') throw new Error('a relay listens on a port')
    return `127.0.0.1:${at.port}`
  }

  /** From now on, for what is connected and what comes. What was held goes on when it flows again. */
  set(flows: { readonly toServer?: Flow; readonly toClient?: Flow }): void {
    this.#toServer = flows.toServer ?? 'flows'
    this.#toClient = flows.toClient ?? 'flows'
    for (const pair of this.#pairs) this.#apply(pair)
  }

  #apply([near, far]: readonly [net.Socket, net.Socket]): void {
    for (const [socket, flow] of [[near, this.#toServer], [far, this.#toClient]] as const) {
      if (flow === 'held') socket.pause()
      else socket.resume()
    }
  }

  /** Cuts all that is connected, without a goodbye. */
  cut(): void {
    for (const [near, far] of this.#pairs) {
      this.cuts += 1
      reset(near)
      reset(far)
    }
  }

  close(): Promise<void> {
    this.cut()
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }

  #join(near: net.Socket): void {
    if (!this.open) {
      near.destroy()
      return
    }
    const far = net.connect({ host: '127.0.0.1', port: this.port })
    const pair = [near, far] as const
    this.#pairs.add(pair)
    const end = (): void => {
      this.#pairs.delete(pair)
      near.destroy()
      far.destroy()
    }
    near.on('data', (chunk: Buffer) => {
      if (this.cutWhen?.(chunk)) this.cut()
      else if (this.#toServer !== 'lost') far.write(chunk)
    })
    far.on('data', (chunk: Buffer) => {
      if (this.#toClient !== 'lost') near.write(chunk)
    })
    this.#apply(pair)
    for (const socket of pair) socket.on('error', end).on('close', end)
  }
}

/**
 * Node 26 cannot reset a socket whose end is under way: the call fails (EINVAL), leaves the handle open and marks it as closing, and the process then waits for that handle in its own exit, for ever.
 * The other side has ended such a socket, so it learns nothing from a reset.
 */
function reset(socket: net.Socket): void {
  if (socket.writableEnded || socket.readableEnded) socket.destroy()
  else socket.resetAndDestroy()
}
