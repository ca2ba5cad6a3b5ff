import { encodeHuffman, huffmanLength } from './huffman.ts'
import { staticTable } from './static-table.ts'

/** The table that we use of what the peer allows. */
const TABLE_BYTES_MAX = 4096
/** Lines seen once are remembered, to be put into the table when they come again; the older half is forgotten at this many. */
const SEEN_MAX = 64
/** After so many values in a row that never came again, a field's values are no longer remembered, but for one in 64. */
const VOLATILE_AFTER = 32
/** Larger lines would push out too much. */
const INDEXED_BYTES_MAX = 1024

/** Never put into a table, nor by anyone behind us: their compressed length would betray them (RFC 7541 §7.1.3). */
const secrets = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie'])
/** Hop-by-hop fields, which HTTP/2 does not know (RFC 9113 §8.2.2). */
const forbidden = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'host', 'http2-settings'])

const staticNames = new Map<string, number>()
const staticLines = new Map<string, number>()
for (const [at, [name, value]] of staticTable.entries()) {
  if (!staticNames.has(name)) staticNames.set(name, at + 1)
  if (value !== '' && !name.startsWith(':')) staticLines.set(`${name}: ${value}`, at + 1)
}

/** What is known of a field name, in the spelling it came in. */
interface NameUse {
  /** As it came, with its colon. */
  readonly prefix: string
  readonly name: string
  readonly staticIndex: number
  readonly secret: boolean
  readonly forbidden: boolean
  /** Values in a row that were not seen before. */
  fresh: number
}

/** Names from anywhere are bounded, since clients make them up. */
const NAMES_MAX = 512
/** Places of a section that are remembered; lines beyond share one. */
const PLACES_MAX = 63
const CR = 13

interface Entry {
  readonly line: string
  readonly sizeBytes: number
  /** Its number among all insertions. */
  readonly ordinal: number
}

/**
 * Field sections into bytes (RFC 7541 §6): one for each connection. Which lines are worth a place in the table is learned: those that come a second time.
 * Fields are given as HTTP/1.1 lines, so that what passes through is never taken apart.
 */
export class HpackEncoder {
  readonly #table = new Map<string, Entry>()
  readonly #order: (Entry | undefined)[] = Array.from({ length: 128 }, () => undefined)
  #inserted = 0
  #evicted = 0
  #sizeBytes = 0
  #sizeBytesMax = TABLE_BYTES_MAX
  /** Sizes to announce at the beginning of the next section: the smallest since the last one, and the present one (§4.2). */
  #announceMin = -1
  #seen = new Set<string>()
  #seenBefore = new Set<string>()
  #names = new Map<string, NameUse>()
  /** What stood in each place of the last section: the next one is mostly the same, and then nothing is cut out or looked up. */
  readonly #lastEntries: (Entry | undefined)[] = []
  readonly #lastNames: (NameUse | undefined)[] = []
  #bytes!: Buffer
  #at = 0

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  allow(tableBytes: number): void {
    const size = Math.min(tableBytes, TABLE_BYTES_MAX)
    if (size === this.#sizeBytesMax && this.#announceMin < 0) return
    this.#announceMin = this.#announceMin < 0 ? size : Math.min(this.#announceMin, size)
    this.#sizeBytesMax = size
    this.#evict(0)
  }

  get tableBytes(): number {
    return this.#sizeBytes
  }

  /** Room that a section needs at most: `textLength` counts its pseudo-fields too. */
  static roomFor(textLength: number): number {
    return 2 * textLength + 128
  }

  /** Begins a section in `bytes` at `at`. */
  begin(bytes: Buffer, at: number): void {
    this.#bytes = bytes
    this.#at = at
    if (this.#announceMin >= 0) {
      if (this.#announceMin < this.#sizeBytesMax) this.#integer(0x20, 0x1f, this.#announceMin)
      this.#integer(0x20, 0x1f, this.#sizeBytesMax)
      this.#announceMin = -1
    }
  }

  /** Where the section ends. */
  end(): number {
    return this.#at
  }

  method(method: string): void {
    if (method === 'GET') this.#bytes[this.#at++] = 0x82
    else if (method === 'POST') this.#bytes[this.#at++] = 0x83
    else this.#pseudo(2, ':method', method)
  }

  scheme(scheme: string): void {
    if (scheme === 'http') this.#bytes[this.#at++] = 0x86
    else if (scheme === 'https') this.#bytes[this.#at++] = 0x87
    else this.#pseudo(6, ':scheme', scheme)
  }

  authority(authority: string): void {
    this.#pseudo(1, ':authority', authority)
  }

  path(path: string): void {
    if (path === '/') this.#bytes[this.#at++] = 0x84
    else this.#pseudo(4, ':path', path)
  }

  protocol(protocol: string): void {
    this.#pseudo(0, ':protocol', protocol)
  }

  status(status: number): void {
    switch (status) {
      case 200:
        this.#bytes[this.#at++] = 0x88
        return
      case 204:
        this.#bytes[this.#at++] = 0x89
        return
      case 304:
        this.#bytes[this.#at++] = 0x8b
        return
      case 404:
        this.#bytes[this.#at++] = 0x8d
        return
      default:
        this.#pseudo(8, ':status', String(status))
    }
  }

  #pseudo(staticIndex: number, name: string, value: string): void {
    // The key cannot be a line's: those do not begin with a colon.
    const key = name + value
    const known = this.#table.get(key)
    if (known !== undefined) return this.#indexed(known)
    if (this.#worthIndexing(key)) this.#insert(key, staticIndex, name, value)
    else this.#literal(0x00, 0x0f, staticIndex, name, value)
  }

  /** Field lines, each with its CRLF; those that HTTP/2 does not have are left out. */
  lines(text: string): void {
    let from = 0
    for (let place = 0; from < text.length; place++) {
      const entry = this.#lastEntries[place]
      // A slice that is compared costs a third of `startsWith`.
      if (entry !== undefined && entry.ordinal >= this.#evicted && text.slice(from, from + entry.line.length) === entry.line && text.charCodeAt(from + entry.line.length) === CR) {
        this.#indexed(entry)
        from += entry.line.length + 2
        continue
      }
      const end = text.indexOf('\r\n', from)
      if (end < 0) return
      const use = this.#lastNames[place]
      if (use !== undefined && use.fresh > VOLATILE_AFTER && (use.fresh & 63) !== 0 && text.slice(from, from + use.prefix.length) === use.prefix) {
        use.fresh += 1
        this.#literal(0x00, 0x0f, use.staticIndex, use.name, trimmed(text, from + use.prefix.length, end))
      } else this.#line(text.slice(from, end), Math.min(place, PLACES_MAX))
      from = end + 2
    }
  }

  #line(line: string, place: number): void {
    const known = this.#table.get(line)
    this.#lastEntries[place] = known
    if (known !== undefined) return this.#indexed(known)
    const fixed = staticLines.get(line)
    if (fixed !== undefined) {
      this.#bytes[this.#at++] = 0x80 | fixed
      return
    }
    const colon = line.indexOf(':')
    if (colon <= 0) return
    const use = this.#nameUse(line.slice(0, colon))
    if (use.forbidden) return
    const value = trimmed(line, colon + 1, line.length)
    if (use.secret) return this.#literal(0x10, 0x0f, use.staticIndex, use.name, value)
    if (use.name === 'te' && value !== 'trailers') return
    if (use.fresh < VOLATILE_AFTER || (use.fresh & 63) === 0) {
      if (this.#worthIndexing(line)) {
        use.fresh = 0
        return this.#insert(line, use.staticIndex, use.name, value)
      }
    }
    use.fresh += 1
    this.#lastNames[place] = use
    this.#literal(0x00, 0x0f, use.staticIndex, use.name, value)
  }

  #nameUse(spelling: string): NameUse {
    const known = this.#names.get(spelling)
    if (known !== undefined) return known
    const name = spelling.toLowerCase()
    const use: NameUse = { prefix: `${spelling}:`, name, staticIndex: staticNames.get(name) ?? 0, secret: secrets.has(name), forbidden: forbidden.has(name), fresh: 0 }
    if (this.#names.size >= NAMES_MAX) this.#names.clear()
    this.#names.set(spelling, use)
    return use
  }

  /** True for what was seen before, lately. */
  #worthIndexing(key: string): boolean {
    if (key.length > INDEXED_BYTES_MAX || this.#sizeBytesMax === 0) return false
    if (this.#seen.has(key) || this.#seenBefore.has(key)) return true
    if (this.#seen.size >= SEEN_MAX) {
      this.#seenBefore = this.#seen
      this.#seen = new Set()
    }
    this.#seen.add(key)
    return false
  }

  #indexed(entry: Entry): void {
    const index = staticTable.length + this.#inserted - entry.ordinal
    if (index < 0x7f) this.#bytes[this.#at++] = 0x80 | index
    else this.#integer(0x80, 0x7f, index)
  }

  /** A literal that enters the table. It is worth Huffman's trouble, since it is sent once. */
  #insert(key: string, staticIndex: number, name: string, value: string): void {
    this.#literal(0x40, 0x3f, staticIndex, name, value, true)
    const sizeBytes = name.length + value.length + 32
    this.#evict(sizeBytes)
    if (sizeBytes > this.#sizeBytesMax) return
    const entry: Entry = { line: key, sizeBytes, ordinal: this.#inserted }
    this.#order[this.#inserted & 127] = entry
    this.#inserted += 1
    this.#sizeBytes += sizeBytes
    this.#table.set(key, entry)
  }

  #evict(neededBytes: number): void {
    while (this.#evicted < this.#inserted && this.#sizeBytes + neededBytes > this.#sizeBytesMax) {
      const slot = this.#evicted & 127
      const oldest = this.#order[slot]!
      this.#order[slot] = undefined
      this.#evicted += 1
      this.#sizeBytes -= oldest.sizeBytes
      // The same line may have entered again since.
      if (this.#table.get(oldest.line) === oldest) this.#table.delete(oldest.line)
    }
  }

  #literal(pattern: number, mask: number, nameIndex: number, name: string, value: string, compresses = false): void {
    if (nameIndex < mask) this.#bytes[this.#at++] = pattern | nameIndex
    else this.#integer(pattern, mask, nameIndex)
    if (nameIndex === 0) this.#string(name, compresses)
    this.#string(value, compresses)
  }

  #string(text: string, compresses: boolean): void {
    if (compresses) {
      const length = huffmanLength(text)
      if (length < text.length) {
        this.#integer(0x80, 0x7f, length)
        this.#at = encodeHuffman(text, this.#bytes, this.#at)
        return
      }
    }
    if (text.length < 0x7f) this.#bytes[this.#at++] = text.length
    else this.#integer(0, 0x7f, text.length)
    this.#at += this.#bytes.write(text, this.#at, 'latin1')
  }

  /** RFC 7541 §5.1. */
  #integer(pattern: number, mask: number, value: number): void {
    const bytes = this.#bytes
    if (value < mask) {
      bytes[this.#at++] = pattern | value
      return
    }
    bytes[this.#at++] = pattern | mask
    let rest = value - mask
    while (rest >= 0x80) {
      bytes[this.#at++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    bytes[this.#at++] = rest
  }
}

const isBlank = (code: number): boolean => code === 32 || code === 9

/** `text[from, end)` without blanks at its ends. */
function trimmed(text: string, from: number, end: number): string {
  let start = from
  while (start < end && isBlank(text.charCodeAt(start))) start++
  let stop = end
  while (stop > start && isBlank(text.charCodeAt(stop - 1))) stop--
  return text.slice(start, stop)
}
