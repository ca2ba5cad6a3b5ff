import net from 'node:net'
import tls from 'node:tls'
import { latin1Text } from './latin1.ts'
import { StreamHandle } from './stream-handle.ts'

/**
 * All socket I/O of the data path. Plain sockets are read from and written to by their handles, where those are as stream-handle.ts knows them; TLS, and all else,
 * by Node's documented API: `onread` into one shared buffer on dialled sockets, 'data' on accepted ones.
 * One write a message: text and bytes are gathered until `flush`.
 */

export interface WireHandler {
  /** `bytes[0, length)` arrived; valid until this returns. */
  onRead(bytes: Buffer, length: number): void
  /** The peer sends no more. */
  onReadEnd(): void
  /** What was written has left, after `congested`. */
  onWritable(): void
  /** Once, whoever closed it. `error` is empty for an orderly end. */
  onClosed(error: string): void
}

/** Above this many unsent bytes the other side is told to wait. */
const CONGESTED_BYTES = 64 * 1024
/** Bodies up to this size join the head as text; larger ones are copied into a pooled buffer. */
const JOINED_BYTES = 4096
const POOLED_BYTES = 68 * 1024
const POOLED_MAX = 64

/** A buffer for writes, given back when the write is done. */
class PooledBuffer {
  readonly bytes = Buffer.allocUnsafeSlow(POOLED_BYTES)
  readonly release: () => void

  constructor(free: PooledBuffer[]) {
    this.release = () => {
      if (free.length < POOLED_MAX) free.push(this)
    }
  }
}
const freeBuffers: PooledBuffer[] = []

/** From so many writes in one turn of the event loop on they leave together. */
const GATHERED_MIN = 4
/** After so many single writes it is looked again whether there are many in a turn. */
const LOOK_AGAIN = 64

/**
 * Wires with something to send at the end of this turn of the event loop. Under load a turn has many messages: written one after the other they wake their receivers less often, and stay with the kernel's
 * code for a while (measured: 7 % less CPU at 64 busy connections). Where turns have few, each leaves at once: waiting for the turn's end costs a call of its own.
 */
class LateFlush {
  #wires: Wire[] = []
  #before: Wire[] = []
  #gathers = true
  #single = 0
  readonly #run = (): void => {
    const wires = this.#wires
    this.#wires = this.#before
    this.#gathers = wires.length >= GATHERED_MIN
    for (const wire of wires) wire.leave()
    wires.length = 0
    this.#before = wires
  }

  /** Whether a message that is complete had better wait. */
  get gathers(): boolean {
    if (this.#gathers) return true
    this.#single += 1
    if (this.#single >= LOOK_AGAIN) {
      this.#single = 0
      this.#gathers = true
    }
    return false
  }

  add(wire: Wire): void {
    if (this.#wires.push(wire) === 1) setImmediate(this.#run)
  }
}
const late = new LateFlush()

/** Every dialled socket reads into this; what is kept is copied. */
const sharedReadBuffer = Buffer.allocUnsafeSlow(64 * 1024)

export class Wire {
  handler: WireHandler
  readonly socket: net.Socket
  closed = false
  bytesRead = 0
  /** TLS: one message may come in several reads of one turn. */
  readsRecords = false
  bytesWritten = 0
  #text = ''
  #pooled: PooledBuffer | undefined = undefined
  #used = 0
  #error = ''
  #handle: StreamHandle | undefined = undefined
  /** The handle takes no writes any more: the socket is ending. */
  #ending = false
  #leavesLate = false

  constructor(socket: net.Socket, handler: WireHandler) {
    this.socket = socket
    this.handler = handler
    socket.on('end', () => this.handler.onReadEnd())
    socket.on('drain', () => this.handler.onWritable())
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error = error.code ?? error.message
    })
    socket.on('close', () => {
      this.closed = true
      this.handler.onClosed(this.#error)
    })
  }

  /** Leaves Node's streams out from here on, where that can be. */
  useHandle(): boolean {
    this.#handle ??= StreamHandle.over(this.socket, sharedReadBuffer, (length) => this.received(sharedReadBuffer, length), () => this.handler.onWritable())
    return this.#handle !== undefined
  }

  readByEvent(): void {
    this.socket.on('data', (bytes: Buffer) => this.received(bytes, bytes.length))
  }

  received(bytes: Buffer, length: number): void {
    this.bytesRead += length
    this.handler.onRead(bytes, length)
  }

  /** Latin1 text, to leave with the next flush. */
  put(text: string): void {
    this.#text += text
  }

  /** Bytes, to leave with the next flush or before; they are copied before this returns. */
  putBytes(bytes: Buffer, start: number, end: number): void {
    if (end - start <= JOINED_BYTES && this.#pooled === undefined && this.#text.length <= 4 * JOINED_BYTES) {
      this.#text += latin1Text(bytes, start, end)
      return
    }
    this.#textToBuffer()
    let from = start
    while (from < end) {
      const pooled = this.#room()
      const length = Math.min(end - from, POOLED_BYTES - this.#used)
      bytes.copy(pooled.bytes, this.#used, from, from + length)
      this.#used += length
      from += length
    }
  }

  /** The buffer being filled, with room in it: a full one leaves. */
  #room(): PooledBuffer {
    if (this.#pooled !== undefined && this.#used < POOLED_BYTES) return this.#pooled
    this.#writePooled()
    this.#used = 0
    return (this.#pooled = freeBuffers.pop() ?? new PooledBuffer(freeBuffers))
  }

  #textToBuffer(): void {
    let text = this.#text
    this.#text = ''
    while (text.length > 0) {
      const pooled = this.#room()
      const length = Math.min(text.length, POOLED_BYTES - this.#used)
      pooled.bytes.write(length === text.length ? text : text.slice(0, length), this.#used, 'latin1')
      this.#used += length
      text = length === text.length ? '' : text.slice(length)
    }
  }

  #writePooled(): void {
    const pooled = this.#pooled
    if (pooled === undefined) return
    this.#pooled = undefined
    this.#write(pooled.bytes.subarray(0, this.#used), pooled.release)
  }

  #write(bytes: Buffer, done: () => void): void {
    this.bytesWritten += bytes.length
    if (this.#handle === undefined || this.#ending) this.socket.write(bytes, done)
    else this.#handle.writeBytes(bytes, done)
  }

  /** Bytes that stay as they are until `done`: they leave now, behind what was put. */
  writeBytes(bytes: Buffer, done: () => void): void {
    this.flush()
    if (this.closed) return done()
    this.#write(bytes, done)
  }

  flush(): void {
    if (this.#pooled !== undefined) {
      this.#textToBuffer()
      this.#writePooled()
      return
    }
    const text = this.#text
    if (text.length === 0) return
    this.#text = ''
    this.bytesWritten += text.length
    if (this.#handle === undefined || this.#ending) this.socket.write(text, 'latin1')
    else this.#handle.writeText(text)
  }

  /** Flushes now or soon: nobody waits for these bytes in this turn of the event loop. */
  flushSoon(): void {
    // What was copied into a buffer leaves while the processor's caches still have it.
    if (this.#handle !== undefined && this.#pooled === undefined && late.gathers) this.flushLate()
    else this.flush()
  }

  /** Flushes at the end of this turn of the event loop: for messages that arrive in several reads at once, as TLS records do. */
  flushLate(): void {
    if (this.#leavesLate || (this.#text.length === 0 && this.#pooled === undefined)) return
    this.#leavesLate = true
    late.add(this)
  }

  /** The turn's end. */
  leave(): void {
    this.#leavesLate = false
    this.flush()
  }

  get unsentBytes(): number {
    return this.socket.writableLength + (this.#handle?.unsentBytes ?? 0)
  }

  get congested(): boolean {
    return (this.#handle === undefined ? this.socket.writableLength : this.#handle.unsentBytes) > CONGESTED_BYTES
  }

  pause(): void {
    if (this.#handle === undefined) this.socket.pause()
    else this.#handle.pause()
  }

  resume(): void {
    if (this.#handle === undefined) this.socket.resume()
    else this.#handle.resume()
  }

  /** Sends what is left, then FIN. The peer may go on sending. */
  end(): void {
    this.flush()
    this.#ending = true
    this.socket.end()
  }

  /** Sends what is left, then closes both ways. */
  destroySoon(): void {
    this.flush()
    this.#ending = true
    this.socket.destroySoon()
  }

  destroy(): void {
    this.#text = ''
    this.#pooled?.release()
    this.#pooled = undefined
    this.socket.destroy()
  }
}

/** Takes over an accepted socket, plain or TLS. */
export function acceptWire(socket: net.Socket, handler: WireHandler): Wire {
  const wire = new Wire(socket, handler)
  if (socket instanceof tls.TLSSocket || !wire.useHandle()) wire.readByEvent()
  return wire
}

/** RFC 8305 §8, Connection Attempt Delay. */
const ATTEMPT_MS = 250

/**
 * Where Node dials: an address, or the first of several that takes the connection, each tried when the one before has failed or has not answered for a while, which it then is not waited for any more (the last is).
 * Node tries in turn what a look-up answers; its own timer bounds each, as nothing else of the attempt is to be had.
 */
function placeOf(address: string, port: number, further: readonly string[] | undefined): net.TcpNetConnectOpts {
  if (further === undefined) return { host: address, port }
  const found = [address, ...further].map((one) => ({ address: one, family: net.isIP(one) }))
  return { host: ENDPOINT, port, lookup: (_host, _options, done) => done(null, found), autoSelectFamily: true, autoSelectFamilyAttemptTimeout: ATTEMPT_MS }
}

/** A name that only the look-up above answers (RFC 6761 §6.4). */
const ENDPOINT = 'endpoint.invalid'

/** Dials a plain connection; `connected` runs once it stands. `first` goes in front of everything else. */
export function dialPlain(address: string, port: number, handler: WireHandler, first: Buffer | undefined, connected: () => void, further?: readonly string[]): Wire {
  const socket = net.connect({
    // An application may listen on a Unix socket instead of a port.
    ...(address.startsWith('unix:') ? { path: address.slice('unix:'.length) } : placeOf(address, port, further)),
    noDelay: true,
    allowHalfOpen: true,
    onread: {
      buffer: sharedReadBuffer,
      callback(length: number, bytes: Uint8Array): boolean {
        wire.received(bytes as Buffer, length)
        return true
      },
    },
  })
  if (first !== undefined) socket.write(first)
  const wire = new Wire(socket, handler)
  socket.once('connect', () => {
    wire.useHandle()
    connected()
  })
  return wire
}

export interface DialTls {
  readonly context: tls.SecureContext
  readonly serverName: string
  readonly alpn: readonly string[]
  /** Goes in front of the handshake, in the clear: a PROXY protocol header. */
  readonly first?: Buffer | undefined
}

/** Dials TLS. The chain is judged here (`trusted`), names are the caller's to judge before anything is sent. */
export function dialTls(address: string, port: number, how: DialTls, handler: WireHandler, connected: (socket: tls.TLSSocket) => void, further?: readonly string[]): Wire {
  const under = how.first === undefined ? undefined : net.connect({ ...placeOf(address, port, further), noDelay: true, allowHalfOpen: true })
  // A write before the connection stands is the first thing that leaves.
  if (under !== undefined) under.write(how.first ?? '')
  const options = {
    ...(under === undefined ? placeOf(address, port, further) : { socket: under }),
    secureContext: how.context,
    // Node refuses addresses as SNI, as RFC 6066 §3 does.
    servername: net.isIP(how.serverName) ? '' : how.serverName,
    ...(how.alpn.length > 0 && { ALPNProtocols: [...how.alpn] }),
    rejectUnauthorized: false,
    // SPIFFE names are no host names; the caller compares them with the plan.
    checkServerIdentity: () => undefined,
    allowHalfOpen: true,
    ...(under === undefined && {
      onread: {
        buffer: sharedReadBuffer,
        callback(length: number, bytes: Uint8Array): boolean {
          wire.received(bytes as Buffer, length)
          return true
        },
      },
    }),
  }
  const socket = tls.connect(options)
  socket.setNoDelay(true)
  const wire = new Wire(socket, handler)
  if (under !== undefined) wire.readByEvent()
  wire.readsRecords = true
  socket.once('secureConnect', () => connected(socket))
  return wire
}
