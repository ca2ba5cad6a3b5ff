import { DATA, FRAME_HEADER_BYTES, PADDED, PREFACE } from './frames.ts'

/** Who takes the frames. Every call may make `failed` true; nothing is read after. */
export interface FrameHandler {
  readonly failed: boolean
  /** Judges a frame by its header alone; false: the connection has failed. */
  mayCome(type: number, flags: number, id: number, frameBytes: number): boolean
  /** A DATA frame begins, told before its bytes are there; `frameBytes` with its padding. */
  onDataBegin(frameBytes: number, flags: number, id: number): void
  /** Some of its bytes, valid until this returns. */
  onDataBytes(bytes: Buffer, start: number, end: number): void
  /** So many bytes of it are padding, the length of the padding included. */
  onDataPadding(bytes: number): void
  onDataEnd(): void
  /** Any other frame, whole: its payload, valid until this returns. */
  onFrame(bytes: Buffer, start: number, end: number, type: number, flags: number, id: number): void
  /** What came is no frame: no preface, or padding beyond the frame (RFC 9113 §3.4, §6.1). */
  onUnreadable(why: string): void
}

/** Cuts bytes into frames (RFC 9113 §4.1). DATA goes on as it arrives; all other frames are handed over whole, from the read's own buffer where they lie in one piece. */
export class FrameReader {
  readonly #handler: FrameHandler
  #prefaceLeft: number
  /** A frame, or its header, that came in part. */
  #carry: Buffer
  #have = 0
  #need = 0
  #sinceMs = 0
  readonly #headerCarry = Buffer.alloc(FRAME_HEADER_BYTES)
  #inData = false
  #dataLeft = 0
  #padLeft = 0
  #padAwaited = false

  constructor(handler: FrameHandler, awaitsPreface: boolean) {
    this.#handler = handler
    this.#prefaceLeft = awaitsPreface ? PREFACE.length : 0
    this.#carry = this.#headerCarry
  }

  /** Bytes kept of a frame that is incomplete. */
  get keptBytes(): number {
    return this.#have
  }

  /** Since when it is; 0: none is. */
  get incompleteSinceMs(): number {
    return this.#have > 0 ? this.#sinceMs : 0
  }

  /** `bytes[start, length)` are valid until this returns. */
  read(bytes: Buffer, start: number, length: number, nowMs: number): void {
    const handler = this.#handler
    let p = start
    if (this.#prefaceLeft > 0) p = this.#readPreface(bytes, p, length)
    while (p < length && !handler.failed) {
      if (this.#inData) {
        p = this.#readData(bytes, p, length)
        continue
      }
      if (this.#have > 0) {
        p = this.#fillCarry(bytes, p, length, nowMs)
        continue
      }
      const left = length - p
      if (left < FRAME_HEADER_BYTES) {
        bytes.copy(this.#headerCarry, 0, p, length)
        this.#carry = this.#headerCarry
        this.#have = left
        this.#need = FRAME_HEADER_BYTES
        this.#sinceMs = nowMs
        return
      }
      const frameBytes = lengthAt(bytes, p)
      const type = bytes[p + 3]!
      const flags = bytes[p + 4]!
      const id = streamAt(bytes, p)
      if (!handler.mayCome(type, flags, id, frameBytes)) return
      if (type === DATA) {
        this.#beginData(frameBytes, flags, id)
        p += FRAME_HEADER_BYTES
      } else if (left < FRAME_HEADER_BYTES + frameBytes) {
        this.#keep(bytes, p, length, FRAME_HEADER_BYTES + frameBytes, nowMs)
        return
      } else {
        handler.onFrame(bytes, p + FRAME_HEADER_BYTES, p + FRAME_HEADER_BYTES + frameBytes, type, flags, id)
        p += FRAME_HEADER_BYTES + frameBytes
      }
    }
  }

  #readPreface(bytes: Buffer, start: number, length: number): number {
    let p = start
    while (p < length && this.#prefaceLeft > 0) {
      if (bytes[p] !== PREFACE[PREFACE.length - this.#prefaceLeft]) {
        this.#prefaceLeft = 0
        this.#handler.onUnreadable('no preface')
        return length
      }
      p++
      this.#prefaceLeft -= 1
    }
    return p
  }

  #keep(bytes: Buffer, start: number, end: number, need: number, nowMs: number): void {
    this.#carry = Buffer.allocUnsafe(need)
    bytes.copy(this.#carry, 0, start, end)
    this.#have = end - start
    this.#need = need
    this.#sinceMs = nowMs
  }

  #fillCarry(bytes: Buffer, start: number, length: number, nowMs: number): number {
    const take = Math.min(this.#need - this.#have, length - start)
    bytes.copy(this.#carry, this.#have, start, start + take)
    this.#have += take
    if (this.#have < this.#need) return start + take
    const carry = this.#carry
    const frameBytes = lengthAt(carry, 0)
    const type = carry[3]!
    const flags = carry[4]!
    const id = streamAt(carry, 0)
    if (this.#need === FRAME_HEADER_BYTES && carry === this.#headerCarry) {
      if (!this.#handler.mayCome(type, flags, id, frameBytes)) return length
      if (type !== DATA && frameBytes > 0) {
        this.#keep(carry, 0, FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + frameBytes, nowMs)
        return start + take
      }
    }
    this.#have = 0
    if (type === DATA) this.#beginData(frameBytes, flags, id)
    else this.#handler.onFrame(carry, FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + frameBytes, type, flags, id)
    this.#carry = this.#headerCarry
    return start + take
  }

  #beginData(frameBytes: number, flags: number, id: number): void {
    const handler = this.#handler
    handler.onDataBegin(frameBytes, flags, id)
    if (handler.failed) return
    this.#dataLeft = frameBytes
    this.#padLeft = 0
    this.#padAwaited = (flags & PADDED) !== 0
    this.#inData = true
    if (frameBytes === 0) this.#endData()
  }

  #readData(bytes: Buffer, start: number, length: number): number {
    const handler = this.#handler
    let p = start
    if (this.#padAwaited) {
      this.#padAwaited = false
      const pad = bytes[p++]!
      this.#dataLeft -= 1
      if (pad > this.#dataLeft) {
        handler.onUnreadable('padding exceeds its frame')
        return length
      }
      this.#padLeft = pad
      this.#dataLeft -= pad
      handler.onDataPadding(pad + 1)
    }
    if (this.#dataLeft > 0 && p < length) {
      const end = Math.min(length, p + this.#dataLeft)
      this.#dataLeft -= end - p
      handler.onDataBytes(bytes, p, end)
      p = end
    }
    if (this.#dataLeft === 0 && p < length && this.#padLeft > 0) {
      const skipped = Math.min(length - p, this.#padLeft)
      this.#padLeft -= skipped
      p += skipped
    }
    if (this.#dataLeft === 0 && this.#padLeft === 0) this.#endData()
    return p
  }

  #endData(): void {
    this.#inData = false
    this.#handler.onDataEnd()
  }
}

const lengthAt = (bytes: Buffer, at: number): number => (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!

const streamAt = (bytes: Buffer, at: number): number => (((bytes[at + 5]! & 0x7f) << 24) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 8) | bytes[at + 8]!) >>> 0
