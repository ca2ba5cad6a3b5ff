/**
 * The few rules of the protobuf wire format that framing needs (protobuf.dev/programming-guides/encoding): varints, tags, length-delimited fields.
 * Messages that carry configuration are built around bytes encoded long before, and requests are read only as far as someone asks.
 */

const strictUtf8 = new TextDecoder('utf-8', { fatal: true })

const varint = (value: number): number[] => {
  const out: number[] = []
  let rest = value
  while (rest > 127) {
    out.push((rest % 128) | 128)
    rest = Math.floor(rest / 128)
  }
  out.push(rest)
  return out
}

/** Tag and length of a length-delimited field whose content follows. */
export const fieldHead = (field: number, length: number): Uint8Array => Uint8Array.from([...varint(field * 8 + 2), ...varint(length)])

/** A string field; nothing for the empty string, as proto3 has it. */
export function stringField(field: number, text: string): Uint8Array {
  return text === '' ? new Uint8Array(0) : repeatedString(field, text)
}

/** One of a repeated field's strings: there the empty one counts. */
export function repeatedString(field: number, text: string): Uint8Array {
  const content = Buffer.from(text, 'utf8')
  return Buffer.concat([fieldHead(field, content.length), content])
}

const varintBytes = (value: number): number => {
  let count = 1
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) count += 1
  return count
}

/** How many bytes a length-delimited field takes with its tag and length. */
export const fieldBytes = (field: number, length: number): number => varintBytes(field * 8 + 2) + varintBytes(length) + length

/** The same of a string field: none for the empty string. */
export const stringBytes = (field: number, text: string): number => (text === '' ? 0 : fieldBytes(field, Buffer.byteLength(text)))

/** Writes fields one after the other into a buffer of their size. */
export class FieldWriter {
  readonly bytes: Buffer
  #at = 0

  constructor(length: number) {
    this.bytes = Buffer.allocUnsafe(length)
  }

  /** Tag and length of a length-delimited field whose content follows. */
  head(field: number, length: number): void {
    this.#varint(field * 8 + 2)
    this.#varint(length)
  }

  text(field: number, text: string): void {
    if (text === '') return
    const length = Buffer.byteLength(text)
    this.head(field, length)
    // Names are plain, and short: to write them here is quicker than to call out.
    if (length === text.length) for (let at = 0; at < length; at += 1) this.bytes[this.#at + at] = text.charCodeAt(at)
    else this.bytes.write(text, this.#at, 'utf8')
    this.#at += length
  }

  raw(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #varint(value: number): void {
    let rest = value
    while (rest > 127) {
      this.bytes[this.#at] = (rest % 128) | 128
      this.#at += 1
      rest = Math.floor(rest / 128)
    }
    this.bytes[this.#at] = rest
    this.#at += 1
  }
}

/** What a peer sent is no protobuf message, or not within bounds. */
export class MalformedMessage extends Error {
  constructor(what: string) {
    super(what)
    this.name = 'MalformedMessage'
  }
}

/** Where one length-delimited field of a message lies. */
export interface Field {
  readonly field: number
  readonly start: number
  readonly end: number
}

/**
 * Calls `visit` for each length-delimited field at the top of a message, in order, until it answers false. Content is not looked at: 48 KB cost as much as 48 bytes.
 * @throws MalformedMessage where the bytes are no message
 */
export function scanFields(bytes: Uint8Array, visit: (field: Field) => boolean): void {
  let at = 0
  const readVarint = (): number => {
    let value = 0
    let scale = 1
    for (let count = 0; count < 10; count += 1) {
      const byte = bytes[at]
      if (byte === undefined) throw new MalformedMessage('the message ends within a number')
      at += 1
      value += (byte & 127) * scale
      if (byte < 128) return value
      scale *= 128
    }
    throw new MalformedMessage('a number is longer than ten bytes')
  }
  while (at < bytes.length) {
    const tag = readVarint()
    const wire = tag % 8
    if (wire === 2) {
      const length = readVarint()
      const end = at + length
      if (end > bytes.length) throw new MalformedMessage('a field is longer than its message')
      if (!visit({ field: Math.floor(tag / 8), start: at, end })) return
      at = end
    } else if (wire === 0) readVarint()
    else if (wire === 1) at += 8
    else if (wire === 5) at += 4
    else throw new MalformedMessage('a field has an unknown wire type')
    if (at > bytes.length) throw new MalformedMessage('a field is longer than its message')
  }
}

/**
 * Where the length-delimited fields numbered `low` to `high` lie, if they lie side by side, as every serializer writes them that goes by number; undefined where they do not, or where there are none.
 * @throws MalformedMessage where the bytes are no message
 */
export function runOf(bytes: Uint8Array, low: number, high: number): { readonly start: number; readonly end: number } | undefined {
  let start = -1
  let end = -1
  let before = 0
  let isWhole = true
  scanFields(bytes, (field) => {
    if (field.field >= low && field.field <= high) {
      if (start < 0) start = before
      else if (before !== end) isWhole = false
      end = field.end
    }
    before = field.end
    return true
  })
  return start < 0 || !isWhole ? undefined : { start, end }
}

/** The text of a string field. @throws MalformedMessage when it is not UTF-8 */
export function textOf(bytes: Uint8Array, field: Field): string {
  // Many thousand names come in one request. A Buffer reads a string in place; only one that looks damaged is worth a strict reader.
  if (bytes instanceof Buffer) {
    const text = bytes.toString('utf8', field.start, field.end)
    if (!text.includes('\uFFFD')) return text
  }
  try {
    return strictUtf8.decode(bytes.subarray(field.start, field.end))
  } catch (cause) {
    throw new MalformedMessage(`a string is not UTF-8: ${String(cause)}`)
  }
}
