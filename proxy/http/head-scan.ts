/* oxlint-disable typescript/no-non-null-assertion -- every index stays within its typed array: the loops are bounded by it */
import { fieldKind } from './field-kind.ts'

/**
 * Scans an HTTP/1.1 head (RFC 9112 §2–5) over its bytes, validating as it goes: one pass, nothing allocated.
 * Strict where the RFC leaves a choice: lines end in CRLF, no obs-fold, no space before the colon, no control bytes in values.
 */

/** Scan results below zero. */
export const INCOMPLETE = -1
export const BAD_START_LINE = -2
const BAD_FIELD = -3
export const TOO_MANY_FIELDS = -4
export const OLD_VERSION = -6

/** Envoy's default (`max_headers_count`). */
export const FIELDS_MAX = 100

const CR = 13
const LF = 10
const SP = 32
const TAB = 9
const COLON = 58

const TOKEN = 1
const VALUE = 2
const TARGET = 4
const classes = new Uint8Array(256)
for (let byte = 0; byte < 256; byte++) {
  if (byte === TAB || (byte >= SP && byte !== 127)) classes[byte]! |= VALUE
  if (byte > SP && byte < 127) classes[byte]! |= TARGET
}
for (const letter of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") classes[letter.charCodeAt(0)]! |= TOKEN

export const isToken = (text: string): boolean => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text)

/** Where the fields of one head are: four offsets a field (name start, name end, value start, value end) from the head's first byte. Reused from message to message. */
export class FieldTable {
  text = ''
  count = 0
  at = new Int32Array(4 * 24)
  kinds = new Uint8Array(24)
  /** Start line: end of its first and second word; start of the first field line. */
  firstEnd = 0
  secondEnd = 0
  fieldsStart = 0
  /** Length of the start line, CRLF included. */
  startLineEnd = 0
  /** Offset of the blank line that ends the head. */
  fieldsEnd = 0
  /** Where scanning goes on when more bytes arrive. */
  resumeAt = 0

  reset(): void {
    this.text = ''
    this.count = 0
    this.resumeAt = 0
    this.fieldsStart = 0
  }

  grow(): void {
    const at = new Int32Array(4 * FIELDS_MAX)
    at.set(this.at)
    const kinds = new Uint8Array(FIELDS_MAX)
    kinds.set(this.kinds)
    this.at = at
    this.kinds = kinds
  }

  nameIs(index: number, lowerName: string): boolean {
    const start = this.at[4 * index]!
    if (this.at[4 * index + 1]! - start !== lowerName.length) return false
    const text = this.text
    for (let i = 0; i < lowerName.length; i++) {
      const code = text.charCodeAt(start + i)
      const want = lowerName.charCodeAt(i)
      if (code !== want && !(code >= 65 && code <= 90 && code + 32 === want)) return false
    }
    return true
  }

  name(index: number): string {
    return this.text.slice(this.at[4 * index]!, this.at[4 * index + 1]!)
  }

  value(index: number): string {
    return this.text.slice(this.at[4 * index + 2]!, this.at[4 * index + 3]!)
  }

  lineStart(index: number): number {
    return index < this.count ? this.at[4 * index]! : this.fieldsEnd
  }

  /** All values under a lower-case name, joined with `,` (RFC 9110 §5.2); undefined when there is none. */
  find(lowerName: string): string | undefined {
    let found: string | undefined
    for (let i = 0; i < this.count; i++) {
      if (this.nameIs(i, lowerName)) found = found === undefined ? this.value(i) : `${found},${this.value(i)}`
    }
    return found
  }

  /** The same by kind. */
  findKind(kind: number): string | undefined {
    let found: string | undefined
    const kinds = this.kinds
    for (let i = 0; i < this.count; i++) {
      if (kinds[i] === kind) found = found === undefined ? this.value(i) : `${found},${this.value(i)}`
    }
    return found
  }
}

/** `METHOD SP target SP HTTP/1.1 CRLF`; answers the offset behind it, from `base`, or a negative result. */
export function scanRequestLine(bytes: Uint8Array, base: number, end: number, table: FieldTable): number {
  let p = base
  while (p < end && classes[bytes[p]!]! & TOKEN) p++
  if (p >= end) return INCOMPLETE
  if (bytes[p] !== SP || p === base) return BAD_START_LINE
  table.firstEnd = p - base
  const target = ++p
  while (p < end && classes[bytes[p]!]! & TARGET) p++
  if (p >= end) return INCOMPLETE
  if (bytes[p] !== SP || p === target) return BAD_START_LINE
  table.secondEnd = p - base
  p++
  for (let i = 0; i < VERSION.length; i++, p++) {
    if (p >= end) return INCOMPLETE
    if (bytes[p] !== VERSION[i]) return BAD_START_LINE
  }
  if (p + 1 > end - 1) return p < end && !isDigit(bytes[p]!) ? BAD_START_LINE : INCOMPLETE
  const minor = bytes[p]!
  if (!isDigit(minor) || bytes[p + 1] !== CR) return BAD_START_LINE
  if (p + 2 >= end) return INCOMPLETE
  if (bytes[p + 2] !== LF) return BAD_START_LINE
  if (minor === 48) return OLD_VERSION
  return p + 3 - base
}

/** `HTTP/1.x SP status SP reason CRLF`. `firstEnd` is then the end of the version, `secondEnd` of the status. HTTP/1.0 answers are accepted. */
export function scanStatusLine(bytes: Uint8Array, base: number, end: number, table: FieldTable): number {
  let p = base
  for (let i = 0; i < VERSION.length; i++, p++) {
    if (p >= end) return INCOMPLETE
    if (bytes[p] !== VERSION[i]) return BAD_START_LINE
  }
  if (p >= end) return INCOMPLETE
  if (!isDigit(bytes[p]!)) return BAD_START_LINE
  p++
  if (p >= end) return INCOMPLETE
  if (bytes[p] !== SP) return BAD_START_LINE
  table.firstEnd = p - base
  p++
  for (let i = 0; i < 3; i++, p++) {
    if (p >= end) return INCOMPLETE
    if (!isDigit(bytes[p]!)) return BAD_START_LINE
  }
  table.secondEnd = p - base
  if (p >= end) return INCOMPLETE
  // A server may leave out the space before an empty reason; RFC 9112 §4 wants it, and many clients live without.
  if (bytes[p] !== SP && bytes[p] !== CR) return BAD_START_LINE
  while (p < end && classes[bytes[p]!]! & VALUE) p++
  if (p >= end) return INCOMPLETE
  if (bytes[p] !== CR) return BAD_START_LINE
  if (p + 1 >= end) return INCOMPLETE
  if (bytes[p + 1] !== LF) return BAD_START_LINE
  return p + 2 - base
}

const VERSION = Uint8Array.from('HTTP/1.', (letter) => letter.charCodeAt(0))
const isDigit = (byte: number): boolean => byte >= 48 && byte <= 57

/**
 * Whether one of four bytes may not stand in a value, or is a tab, which the byte loop behind takes: control characters are below 0x20, and DEL.
 * (`x - n & ~x` has the high bit of a byte set where the byte is below n, for n up to 0x80.)
 */
function endsValue(four: number): boolean {
  const noDel = four ^ 0x7f7f7f7f
  return ((((four - 0x20202020) & ~four) | ((noDel - 0x01010101) & ~noDel)) & 0x80808080) !== 0
}

/** Four bytes at once out of a buffer. Reads share few buffers, mostly one. */
class Views {
  #bytes: Uint8Array | undefined = undefined
  #view: DataView = new DataView(new ArrayBuffer(0))

  of(bytes: Uint8Array): DataView {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    }
    return this.#view
  }
}
const views = new Views()

/** Field lines up to and with the blank line; answers the head's length from `base`, or a negative result. Goes on at `table.resumeAt`. */
export function scanFields(bytes: Uint8Array, base: number, end: number, table: FieldTable): number {
  let p = base + table.resumeAt
  let count = table.count
  let at = table.at
  const view = views.of(bytes)
  for (;;) {
    if (p >= end) return INCOMPLETE
    if (bytes[p] === CR) {
      if (p + 1 >= end) return INCOMPLETE
      if (bytes[p + 1] !== LF) return BAD_FIELD
      table.fieldsEnd = p - base
      return p + 2 - base
    }
    const nameStart = p
    while (p < end && classes[bytes[p]!]! & TOKEN) p++
    if (p >= end) return INCOMPLETE
    if (bytes[p] !== COLON || p === nameStart) return BAD_FIELD
    const nameEnd = p++
    while (p < end && (bytes[p] === SP || bytes[p] === TAB)) p++
    const valueStart = p
    for (const last = end - 4; p <= last; p += 4) if (endsValue(view.getInt32(p, true))) break
    while (p < end && classes[bytes[p]!]! & VALUE) p++
    if (p >= end) return INCOMPLETE
    if (bytes[p] !== CR) return BAD_FIELD
    if (p + 1 >= end) return INCOMPLETE
    if (bytes[p + 1] !== LF) return BAD_FIELD
    let valueEnd = p
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === TAB)) valueEnd--
    if (count >= table.kinds.length) {
      if (count >= FIELDS_MAX) return TOO_MANY_FIELDS
      table.grow()
      at = table.at
    }
    const slot = count * 4
    at[slot] = nameStart - base
    at[slot + 1] = nameEnd - base
    at[slot + 2] = valueStart - base
    at[slot + 3] = valueEnd - base
    table.kinds[count] = fieldKind(bytes, nameStart, nameEnd)
    count++
    p += 2
    table.count = count
    table.resumeAt = p - base
  }
}
