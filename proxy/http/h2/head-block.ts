import { CONTENT_LENGTH, TE, TRANSFER_ENCODING, UPGRADE } from '../field-kind.ts'
import { FIELDS_MAX } from '../head-scan.ts'
import type { FieldTable } from '../head-scan.ts'
import { readContentLength } from '../request-head.ts'
import { AUTHORITY, COOKIE, MALFORMED, METHOD, PATH, SCHEME, STATUS } from './field.ts'
import type { Field } from './field.ts'

/**
 * What a field section says: pseudo-fields by name, the others as the lines that HTTP/1.1 would have, with the same table of offsets.
 * One per connection, filled anew for each section. Past its bounds nothing is kept, though all of it is decoded, since later sections hang on that.
 */
export class HeadBlock {
  method = ''
  scheme = ''
  authority: string | undefined = undefined
  path = ''
  status = ''
  protocol = ''
  /** RFC 9113 §8.1.1: the stream is in error, the connection is not. */
  malformed = false
  tooLarge = false
  /** A pseudo-field was there. */
  hasPseudo = false
  /** Of `content-length`; -1 without. */
  contentLength = -1
  #listBytes = 0
  #listBytesMax = 0
  #text = ''
  #cookies = ''
  #regular = false
  /** One bit for each pseudo-field that was there, empty ones too. */
  #pseudo = 0
  #fields!: FieldTable

  /** Begins a section whose lines go to `fields`. */
  begin(fields: FieldTable, listBytesMax: number): void {
    fields.reset()
    this.#fields = fields
    this.#listBytesMax = listBytesMax
    this.#listBytes = 0
    this.#text = ''
    this.#cookies = ''
    this.#regular = false
    this.#pseudo = 0
    this.method = ''
    this.scheme = ''
    this.authority = undefined
    this.path = ''
    this.status = ''
    this.protocol = ''
    this.malformed = false
    this.tooLarge = false
    this.hasPseudo = false
    this.contentLength = -1
  }

  add(field: Field): void {
    this.#listBytes += field.sizeBytes
    if (this.#listBytes > this.#listBytesMax) {
      this.tooLarge = true
      return
    }
    const { kind } = field
    if (kind >= METHOD) return this.#addPseudo(field)
    this.#regular = true
    // Hop-by-hop fields have no place here (RFC 9113 §8.2.2); their kinds stand together, behind CONTENT_LENGTH and before TE.
    if (kind >= CONTENT_LENGTH && kind <= TE) this.#checkFraming(field, kind)
    if (kind === COOKIE) {
      // Crumbs are put together again (RFC 9113 §8.2.3).
      this.#cookies = this.#cookies === '' ? field.value : `${this.#cookies}; ${field.value}`
      return
    }
    this.#addLine(field.line, field.name.length, field.value.length, kind)
  }

  #checkFraming(field: Field, kind: number): void {
    if (kind === CONTENT_LENGTH) {
      const length = readContentLength(field.value)
      if (length < 0 || this.contentLength >= 0) this.malformed = true
      this.contentLength = length
    } else if (kind >= TRANSFER_ENCODING && kind <= UPGRADE) this.malformed = true
    else if (field.value !== 'trailers') this.malformed = true
  }

  #addLine(line: string, nameLength: number, valueLength: number, kind: number): void {
    const fields = this.#fields
    const { count } = fields
    if (count >= fields.kinds.length) {
      if (count >= FIELDS_MAX) {
        this.tooLarge = true
        return
      }
      fields.grow()
    }
    const slot = count * 4
    const start = this.#text.length
    const { at } = fields
    at[slot] = start
    at[slot + 1] = start + nameLength
    at[slot + 2] = start + nameLength + 2
    at[slot + 3] = start + nameLength + 2 + valueLength
    fields.kinds[count] = kind
    fields.count = count + 1
    this.#text += line
  }

  #addPseudo(field: Field): void {
    // They come first, and once (RFC 9113 §8.3).
    const { kind, value } = field
    if (kind === MALFORMED || this.#regular || (this.#pseudo & (1 << (kind - METHOD))) !== 0) this.malformed = true
    this.hasPseudo = true
    if (kind === MALFORMED) return
    this.#pseudo |= 1 << (kind - METHOD)
    if (kind === METHOD) this.method = value
    else if (kind === SCHEME) this.scheme = value
    else if (kind === AUTHORITY) this.authority = value
    else if (kind === PATH) this.path = value
    else if (kind === STATUS) this.status = value
    else this.protocol = value
  }

  /** Puts the lines into the table. */
  end(): void {
    const fields = this.#fields
    if (this.#cookies !== '') this.#addLine(`cookie: ${this.#cookies}\r\n`, 6, this.#cookies.length, COOKIE)
    fields.text = this.#text
    fields.fieldsEnd = this.#text.length
  }
}
