/* oxlint-disable typescript/no-non-null-assertion -- every index stays within its typed array: the loops are bounded by it */
import { isToken } from './head-scan.ts'

/** How a message's body is framed, RFC 9112 §6.3. */
export const NO_BODY = 0
export const LENGTH = 1
export const CHUNKED = 2
export const UNTIL_CLOSE = 3

export interface BodySink {
  /** Bytes of the body, valid until this returns. */
  onBody(bytes: Uint8Array, start: number, end: number): void
}

const SIZE_FIRST = 0
const SIZE = 1
const EXTENSION = 2
const SIZE_LF = 3
const DATA = 4
const DATA_CR = 5
const DATA_LF = 6
const TRAILER = 7
const TRAILER_LF = 8

const EXTENSION_BYTES_MAX = 4096
const TRAILER_BYTES_MAX = 8192
const CR = 13
const LF = 10

const hexValue = (byte: number): number => {
  if (byte >= 48 && byte <= 57) return byte - 48
  const lower = byte | 0x20
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}

/** Fields that must not stand in a trailer section (RFC 9110 §6.5.1): framing, routing, authentication. They are dropped. */
const FORBIDDEN = new Set(['content-length', 'transfer-encoding', 'host', 'connection', 'trailer', 'te', 'upgrade', 'keep-alive', 'authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'content-encoding', 'content-type', 'content-range', 'expect'])

/** Takes a body out of bytes as they arrive. Bounded: sizes of 13 hex digits, 4 KiB of chunk extensions a message, 8 KiB of trailers. */
export class BodyReader {
  kind = NO_BODY
  done = true
  /** Set when the bytes are not a body. */
  bad = false
  /** Trailer lines with their CRLFs, without the fields that must not be there. */
  trailers = ''
  #left = 0
  #state = SIZE_FIRST
  #digits = 0
  #extensionBytes = 0
  #line = ''
  #trailerBytes = 0

  start(kind: number, length: number): void {
    this.kind = kind
    this.bad = false
    this.trailers = ''
    this.#left = kind === LENGTH ? length : 0
    this.done = kind === NO_BODY || (kind === LENGTH && length === 0)
    if (kind === CHUNKED) {
      this.#state = SIZE_FIRST
      this.#digits = 0
      this.#extensionBytes = 0
      this.#line = ''
      this.#trailerBytes = 0
    }
  }

  /** Consumes what belongs to this body; answers where it stopped. */
  read(bytes: Uint8Array, start: number, end: number, sink: BodySink): number {
    if (this.done || start >= end) return start
    if (this.kind === LENGTH) {
      const stop = Math.min(end, start + this.#left)
      this.#left -= stop - start
      if (this.#left === 0) this.done = true
      sink.onBody(bytes, start, stop)
      return stop
    }
    if (this.kind === UNTIL_CLOSE) {
      sink.onBody(bytes, start, end)
      return end
    }
    return this.#readChunks(bytes, start, end, sink)
  }

  #readChunks(bytes: Uint8Array, start: number, end: number, sink: BodySink): number {
    let p = start
    while (p < end) {
      const byte = bytes[p]!
      switch (this.#state) {
        case SIZE_FIRST: {
          const digit = hexValue(byte)
          if (digit < 0) return this.#fail(p)
          this.#left = digit
          this.#digits = 1
          this.#state = SIZE
          p++
          break
        }
        case SIZE: {
          const digit = hexValue(byte)
          if (digit >= 0) {
            // 13 digits stay below 2^53.
            if (++this.#digits > 13) return this.#fail(p)
            this.#left = this.#left * 16 + digit
          } else if (byte === CR) this.#state = SIZE_LF
          else if (byte === 59) this.#state = EXTENSION
          else return this.#fail(p)
          p++
          break
        }
        case EXTENSION:
          if (byte === CR) this.#state = SIZE_LF
          else if ((byte < 32 && byte !== 9) || byte === 127 || ++this.#extensionBytes > EXTENSION_BYTES_MAX) return this.#fail(p)
          p++
          break
        case SIZE_LF:
          if (byte !== LF) return this.#fail(p)
          this.#state = this.#left === 0 ? TRAILER : DATA
          p++
          break
        case DATA: {
          const stop = Math.min(end, p + this.#left)
          this.#left -= stop - p
          if (this.#left === 0) this.#state = DATA_CR
          sink.onBody(bytes, p, stop)
          p = stop
          break
        }
        case DATA_CR:
          if (byte !== CR) return this.#fail(p)
          this.#state = DATA_LF
          p++
          break
        case DATA_LF:
          if (byte !== LF) return this.#fail(p)
          this.#state = SIZE_FIRST
          p++
          break
        case TRAILER:
          p++
          if (byte === CR) this.#state = TRAILER_LF
          else if ((byte < 32 && byte !== 9) || byte === 127 || ++this.#trailerBytes > TRAILER_BYTES_MAX) return this.#fail(p)
          else this.#line += String.fromCharCode(byte)
          break
        case TRAILER_LF:
          if (byte !== LF) return this.#fail(p)
          p++
          if (this.#line === '') {
            this.done = true
            return p
          }
          if (!this.#addTrailer()) return this.#fail(p)
          this.#state = TRAILER
          break
      }
    }
    return p
  }

  #addTrailer(): boolean {
    const colon = this.#line.indexOf(':')
    const name = this.#line.slice(0, Math.max(0, colon))
    if (!isToken(name)) return false
    if (!FORBIDDEN.has(name.toLowerCase())) this.trailers += `${name}: ${this.#line.slice(colon + 1).trim()}\r\n`
    this.#line = ''
    return true
  }

  #fail(at: number): number {
    this.bad = true
    this.done = true
    return at
  }
}
