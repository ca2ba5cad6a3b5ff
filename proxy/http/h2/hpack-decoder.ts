import { Field, MALFORMED, isFieldValue, kindOfFieldName } from './field.ts'
import type { HeadBlock } from './head-block.ts'
import { decodeHuffman } from './huffman.ts'
import { staticTable } from './static-table.ts'

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')
const staticFields: readonly Field[] = staticTable.map(([name, value]) => new Field(name, value, kindOfFieldName(latin1(name), 0, name.length, name)))
const STATIC = staticFields.length

/** An integer beyond this is an attack or a mistake: nothing in a field section is so long. */
const INTEGER_MAX = 1 << 24
/** A string of Huffman codes may grow to 8/5 of its length. */
const SCRATCH_BYTES = 64 * 1024

/** Strings are decoded here; what is kept is copied. */
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)

/** Field sections out of bytes (RFC 7541 §3): one decoder for each connection, whose table follows the sender's. */
export class HpackDecoder {
  /** A ring; its length is a power of two above what 4096 bytes can hold. */
  #ring: (Field | undefined)[]
  #newest = -1
  #count = 0
  #sizeBytes = 0
  #sizeBytesMax: number
  /** What we allowed, by SETTINGS_HEADER_TABLE_SIZE. */
  readonly #allowedBytes: number
  #bytes: Buffer = scratch
  #at = 0
  #end = 0
  /** The string read last: where its plain bytes are. */
  #stringBytes: Buffer = scratch
  #stringStart = 0
  #stringEnd = 0

  constructor(tableBytesMax: number) {
    this.#allowedBytes = tableBytesMax
    this.#sizeBytesMax = tableBytesMax
    let slots = 1
    while (slots * 32 <= tableBytesMax) slots *= 2
    this.#ring = Array.from({ length: slots }, () => undefined)
  }

  get tableBytes(): number {
    return this.#sizeBytes
  }

  /** Decodes a whole section into `block`; false: COMPRESSION_ERROR. */
  decode(bytes: Buffer, start: number, end: number, block: HeadBlock): boolean {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
    let mayResize = true
    while (this.#at < end) {
      const byte = bytes[this.#at]!
      if (byte & 0x80) {
        const field = this.#lookUp(byte < 0xff ? (this.#at++, byte & 0x7f) : this.#integer(0x7f))
        if (field === undefined) return false
        block.add(field)
      } else if ((byte & 0xe0) === 0x20) {
        // §4.2: only at the beginning of a section.
        const size = this.#integer(0x1f)
        if (!mayResize || size < 0 || size > this.#allowedBytes) return false
        this.#sizeBytesMax = size
        this.#evict(0)
        continue
      } else {
        const indexes = (byte & 0xc0) === 0x40
        const field = this.#literal(this.#integer(indexes ? 0x3f : 0x0f))
        if (field === undefined) return false
        if (indexes) this.#insert(field)
        block.add(field)
      }
      mayResize = false
    }
    return true
  }

  /** An integer whose first byte has `mask` for its own bits (§5.1); -1 when it is cut short or too large. */
  #integer(mask: number): number {
    const bytes = this.#bytes
    let value = bytes[this.#at++]! & mask
    if (value < mask) return value
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= this.#end) return -1
      const byte = bytes[this.#at++]!
      value += (byte & 0x7f) << shift
      if ((byte & 0x80) === 0) return value > INTEGER_MAX ? -1 : value
    }
    return -1
  }

  #lookUp(index: number): Field | undefined {
    if (index <= 0) return undefined
    if (index <= STATIC) return staticFields[index - 1]
    const age = index - STATIC - 1
    return age < this.#count ? this.#ring[(this.#newest - age) & (this.#ring.length - 1)] : undefined
  }

  /** A literal field whose name is at an index, or follows (0). */
  #literal(nameIndex: number): Field | undefined {
    let name: string
    let kind: number
    if (nameIndex > 0) {
      const named = this.#lookUp(nameIndex)
      if (named === undefined) return undefined
      name = named.name
      kind = named.kind
      // The name was good where only the value made it malformed; its kind is found again.
      if (kind === MALFORMED) kind = kindOfFieldName(latin1(name), 0, name.length, name)
    } else {
      if (nameIndex < 0 || !this.#string()) return undefined
      name = this.#text()
      kind = kindOfFieldName(this.#stringBytes, this.#stringStart, this.#stringEnd, name)
    }
    if (!this.#string()) return undefined
    if (!isFieldValue(this.#stringBytes, this.#stringStart, this.#stringEnd)) kind = MALFORMED
    return new Field(name, this.#text(), kind)
  }

  /** A string literal (§5.2); false when it is none. */
  #string(): boolean {
    if (this.#at >= this.#end) return false
    const coded = (this.#bytes[this.#at]! & 0x80) !== 0
    const length = this.#integer(0x7f)
    const start = this.#at
    if (length < 0 || start + length > this.#end) return false
    this.#at = start + length
    if (coded) {
      const room = length * 1.6 <= SCRATCH_BYTES ? scratch : Buffer.allocUnsafe(Math.ceil(length * 1.6))
      const decoded = decodeHuffman(this.#bytes, start, start + length, room)
      if (decoded < 0) return false
      this.#stringBytes = room
      this.#stringStart = 0
      this.#stringEnd = decoded
    } else {
      this.#stringBytes = this.#bytes
      this.#stringStart = start
      this.#stringEnd = start + length
    }
    return true
  }

  #text(): string {
    return this.#stringBytes.toString('latin1', this.#stringStart, this.#stringEnd)
  }

  #insert(field: Field): void {
    this.#evict(field.sizeBytes)
    if (field.sizeBytes > this.#sizeBytesMax) return
    this.#newest = (this.#newest + 1) & (this.#ring.length - 1)
    this.#ring[this.#newest] = field
    this.#count += 1
    this.#sizeBytes += field.sizeBytes
  }

  /** Drops the oldest until `neededBytes` more fit (§4.3, §4.4). */
  #evict(neededBytes: number): void {
    const mask = this.#ring.length - 1
    while (this.#count > 0 && this.#sizeBytes + neededBytes > this.#sizeBytesMax) {
      const oldest = (this.#newest - this.#count + 1) & mask
      this.#sizeBytes -= this.#ring[oldest]!.sizeBytes
      this.#ring[oldest] = undefined
      this.#count -= 1
    }
  }
}
