import type net from 'node:net'
import { getSystemErrorName } from 'node:util'

/**
 * The libuv stream under a connected socket, used without Node's streams in between: reads into a buffer of ours, writes that mostly end before they return.
 * These are internals of Node (docs/decisions/0015), known in this file alone. Where they are not as this file knows them, there is no StreamHandle,
 * and the socket is used by the documented API.
 */

/** What libuv's streams look like from JavaScript, as far as they are used here. */
interface NativeHandle {
  reading: boolean
  onread: (bytes?: ArrayBuffer) => unknown
  readStart(): number
  readStop(): number
  useUserBuffer(buffer: Buffer): void
  /** 0: written; below: an error's number; an object: the kernel did not take all of it yet. */
  writeLatin1String(request: null, text: string): number | PendingWrite
  writeBuffer(request: null, bytes: Buffer): number | PendingWrite
}

interface PendingWrite {
  oncomplete: (status: number) => void
  /** Kept from the garbage collector until then. */
  buffer: Buffer | undefined
  /** Not null: it was complete before anyone could listen. */
  writeStatus: number | null
}

/** Where the internals put what a call has no place for. */
interface Internals {
  readonly state: Int32Array
  readonly readBytesOrError: number
  readonly bytesWritten: number
  readonly lastWriteError: number
}

const METHODS = ['readStart', 'readStop', 'useUserBuffer', 'writeLatin1String', 'writeBuffer'] as const

/** Undefined where Node refuses them (`--permission`) or has others: writes that take no request object come with `kLastWriteErr`. */
function findInternals(): Internals | undefined {
  try {
    const binding: unknown = Reflect.apply(Reflect.get(process, 'binding') as (name: string) => unknown, process, ['stream_wrap'])
    if (typeof binding !== 'object' || binding === null) return undefined
    const [state, readBytesOrError, bytesWritten, lastWriteError]: unknown[] = ['streamBaseState', 'kReadBytesOrError', 'kBytesWritten', 'kLastWriteErr'].map((name) => Reflect.get(binding, name))
    if (!(state instanceof Int32Array) || typeof readBytesOrError !== 'number' || typeof bytesWritten !== 'number' || typeof lastWriteError !== 'number') return undefined
    return { state, readBytesOrError, bytesWritten, lastWriteError }
  } catch {
    return undefined
  }
}

const internals = findInternals()

/** Whether sockets can be used so at all. */
export const hasStreamHandles = internals !== undefined

export class StreamHandle {
  /** Bytes that the kernel did not take yet. */
  unsentBytes = 0
  readonly #socket: net.Socket
  readonly #handle: NativeHandle
  readonly #internals: Internals
  readonly #written: () => void

  private constructor(socket: net.Socket, handle: NativeHandle, found: Internals, written: () => void) {
    this.#socket = socket
    this.#handle = handle
    this.#internals = found
    this.#written = written
  }

  /**
   * Takes over reading and writing of a socket that is connected and has nothing unread or unwritten; undefined where that cannot be.
   * `received` is told how many bytes are in `buffer`; `written`, that nothing is unsent any more. End, errors and closing stay the socket's.
   */
  static over(socket: net.Socket, buffer: Buffer, received: (length: number) => void, written: () => void): StreamHandle | undefined {
    if (internals === undefined || socket.connecting || socket.destroyed || socket.readableLength > 0 || socket.readableEnded || socket.writableLength > 0) return undefined
    const under: unknown = Reflect.get(socket, '_handle')
    if (!isNative(under)) return undefined
    const { state, readBytesOrError } = internals
    const inherited = under.onread
    under.useUserBuffer(buffer)
    under.onread = (bytes) => {
      const length = state[readBytesOrError] ?? 0
      // What it returns would be taken for the next buffer.
      if (length > 0) received(length)
      else Reflect.apply(inherited, under, [bytes])
      return undefined
    }
    const made = new StreamHandle(socket, under, internals, written)
    made.resume()
    return made
  }

  /** Latin1. */
  writeText(text: string): void {
    const result = this.#handle.writeLatin1String(null, text)
    if (result !== 0) this.#unfinished(result, undefined, undefined)
  }

  /** `done` runs once the bytes may change: mostly before this returns. */
  writeBytes(bytes: Buffer, done: () => void): void {
    const result = this.#handle.writeBuffer(null, bytes)
    if (result === 0) done()
    else this.#unfinished(result, bytes, done)
  }

  #unfinished(result: number | PendingWrite, bytes: Buffer | undefined, done: (() => void) | undefined): void {
    const { state, lastWriteError, bytesWritten } = this.#internals
    const error = typeof result === 'number' ? result : (state[lastWriteError] ?? 0)
    if (error !== 0 || typeof result === 'number') {
      done?.()
      this.#fail(error)
      return
    }
    const length = state[bytesWritten] ?? 0
    this.unsentBytes += length
    const complete = (status: number): void => {
      this.unsentBytes -= length
      done?.()
      if (status < 0) this.#fail(status)
      else if (this.unsentBytes === 0 && !this.#socket.destroyed) this.#written()
    }
    result.oncomplete = complete
    result.buffer = bytes
    const { writeStatus } = result
    if (typeof writeStatus === 'number') {
      result.writeStatus = null
      complete(writeStatus)
    }
  }

  #fail(error: number): void {
    if (this.#socket.destroyed) return
    const code = getSystemErrorName(error)
    this.#socket.destroy(Object.assign(new Error(`write ${code}`), { code, errno: error, syscall: 'write' }))
  }

  pause(): void {
    if (!this.#handle.reading || this.#socket.destroyed) return
    this.#handle.reading = false
    this.#handle.readStop()
  }

  resume(): void {
    if (this.#handle.reading || this.#socket.destroyed) return
    this.#handle.reading = true
    this.#handle.readStart()
  }
}

const isNative = (handle: unknown): handle is NativeHandle => typeof handle === 'object' && handle !== null && METHODS.every((name) => typeof Reflect.get(handle, name) === 'function') && typeof Reflect.get(handle, 'onread') === 'function'
