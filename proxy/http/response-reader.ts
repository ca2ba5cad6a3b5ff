/* oxlint-disable typescript/no-non-null-assertion -- every index stays within its typed array: the loops are bounded by it */
import { BodyReader, CHUNKED, LENGTH, NO_BODY, UNTIL_CLOSE } from './body.ts'
import type { BodySink } from './body.ts'
import { CONNECTION, CONTENT_LENGTH, KEEP_ALIVE, OTHER, PROXY_CONNECTION, TRAILER, TRANSFER_ENCODING, UPGRADE } from './field-kind.ts'
import { FieldTable, INCOMPLETE, scanFields, scanStatusLine } from './head-scan.ts'
import { latin1Text } from './latin1.ts'
import { readContentLength } from './request-head.ts'

/** An answer's head, offsets into one latin1 string; one per upstream connection, filled anew for each answer. */
export class HttpResponseHead {
  readonly fields = new FieldTable()
  status = 0
  /** What follows the version in a status line, CRLF included. */
  statusText = ''
  /** There is no body, and no field says so: HTTP/1.1 needs to be told. */
  lacksLength = false
  framing = NO_BODY
  bodyLength = 0
  /** The connection cannot be used again after this answer. */
  closes = false
  upgrade = ''
  dropped = new Uint8Array(24)

  header(name: string): string | undefined {
    return this.fields.find(name)
  }

  /** What the fields mean, RFC 9112 §6.3; `bodiless`: the request was HEAD. False when the framing is ambiguous. */
  interpret(bodiless: boolean): boolean {
    const fields = this.fields
    const { text, kinds, count } = fields
    this.status = (text.charCodeAt(9) - 48) * 100 + (text.charCodeAt(10) - 48) * 10 + text.charCodeAt(11) - 48
    this.statusText = text.slice(fields.firstEnd, fields.startLineEnd)
    this.framing = NO_BODY
    this.bodyLength = 0
    this.closes = text.charCodeAt(7) === 48
    this.upgrade = ''
    if (this.dropped.length < count) this.dropped = new Uint8Array(fields.kinds.length)
    const dropped = this.dropped
    for (let i = 0; i < count; i++) dropped[i] = 0
    let length = -1
    let chunked = false
    for (let i = 0; i < count; i++) {
      const kind = kinds[i]!
      if (kind === OTHER || kind > TRAILER) continue
      switch (kind) {
        case CONTENT_LENGTH: {
          const value = readContentLength(fields.value(i))
          if (value < 0 || length >= 0) return false
          length = value
          break
        }
        case TRANSFER_ENCODING:
          if (chunked || fields.value(i).toLowerCase() !== 'chunked') return false
          chunked = true
          dropped[i] = 1
          break
        case CONNECTION: {
          const value = fields.value(i).toLowerCase()
          if (value !== 'keep-alive') this.#readConnection(value)
          dropped[i] = 1
          break
        }
        case UPGRADE:
          this.upgrade = fields.value(i)
          dropped[i] = 1
          break
        case KEEP_ALIVE:
        case PROXY_CONNECTION:
          dropped[i] = 1
          break
      }
    }
    if (chunked && length >= 0) return false
    const status = this.status
    if (status < 100) return false
    if (bodiless || status < 200 || status === 204 || status === 304) return true
    if (chunked) this.framing = CHUNKED
    else if (length >= 0) {
      this.framing = length === 0 ? NO_BODY : LENGTH
      this.bodyLength = length
    } else {
      this.framing = UNTIL_CLOSE
      this.closes = true
    }
    return true
  }

  #readConnection(connection: string): void {
    for (const option of connection.split(',')) {
      const name = option.trim()
      if (name === 'close') this.closes = true
      else if (name !== '' && name !== 'keep-alive' && name !== 'upgrade' && name !== 'content-length') {
        for (let i = 0; i < this.fields.count; i++) if (this.fields.nameIs(i, name)) this.dropped[i] = 1
      }
    }
  }
}

export interface ResponseSink extends BodySink {
  onResponse(head: HttpResponseHead): void
  onResponseEnd(trailers: string): void
  /** Bytes that are not an answer, or an answer that nobody asked for. */
  onBadResponse(): void
}

const IDLE = 0
const HEAD = 1
const BODY = 2
const STOPPED = 3

const HEAD_BYTES_MAX = 64 * 1024

/** Answers out of a byte stream; `expect` says that a request went out. */
export class ResponseReader {
  readonly head = new HttpResponseHead()
  readonly body = new BodyReader()
  #kept: Buffer | undefined
  #state = IDLE
  #bodiless = false
  #connects = false
  readonly #sink: ResponseSink

  constructor(sink: ResponseSink) {
    this.#sink = sink
  }

  expect(method: string): void {
    this.#bodiless = method === 'HEAD'
    this.#connects = method === 'CONNECT'
    this.#state = HEAD
    this.head.fields.reset()
  }

  /** Bytes came behind an answer that was not followed by a request: nobody can say what they answer. */
  overran = false

  takeRest(): Buffer | undefined {
    const rest = this.#kept
    this.#kept = undefined
    this.#state = STOPPED
    return rest
  }

  push(bytes: Buffer, start: number, end: number): void {
    if (this.#state === STOPPED) return
    if (this.#kept !== undefined) {
      const joined = Buffer.concat([this.#kept, bytes.subarray(start, end)])
      this.#kept = undefined
      this.#run(joined, 0, joined.length)
    } else this.#run(bytes, start, end)
  }

  /** The server closed; true when that is how the body ends (RFC 9112 §6.3, rule 8). */
  end(): boolean {
    if (this.#state !== BODY || this.body.kind !== UNTIL_CLOSE) return false
    this.body.done = true
    this.#complete()
    return true
  }

  #run(bytes: Buffer, from: number, end: number): void {
    let p = from
    while (p < end) {
      if (this.#state === HEAD) {
        const after = this.#readHead(bytes, p, end)
        if (after < 0) break
        p = after
      } else if (this.#state === BODY) {
        p = this.body.read(bytes, p, end, this.#sink)
        if (this.body.bad) return this.#refuse()
        if (this.body.done && this.#state === BODY) {
          if (p < end) return this.#overrun()
          this.#complete()
        }
      } else if (this.#state === IDLE) {
        return this.#refuse()
      } else return
    }
    if (p < end && (this.#state as number) !== STOPPED) this.#kept = Buffer.from(bytes.subarray(p, end))
  }

  #readHead(bytes: Buffer, p: number, end: number): number {
    const head = this.head
    const fields = head.fields
    if (fields.fieldsStart === 0) {
      const line = scanStatusLine(bytes, p, end, fields)
      if (line === INCOMPLETE) return this.#wait(end - p)
      if (line < 0) return this.#refuseHead()
      fields.fieldsStart = line
      fields.startLineEnd = line
      fields.resumeAt = line
    }
    const length = scanFields(bytes, p, end, fields)
    if (length === INCOMPLETE) return this.#wait(end - p)
    if (length < 0 || length > HEAD_BYTES_MAX) return this.#refuseHead()
    fields.text = latin1Text(bytes, p, p + length)
    fields.fieldsStart = 0
    if (!head.interpret(this.#bodiless)) return this.#refuseHead()
    if (head.status === 101 || (this.#connects && head.status >= 200 && head.status < 300)) {
      // What follows is not HTTP any more; the sink takes the rest.
      this.#state = STOPPED
      if (p + length < end) this.#kept = Buffer.from(bytes.subarray(p + length, end))
      this.#sink.onResponse(head)
      return -1
    }
    if (head.status < 200) {
      // Interim answers are not passed on: the client was told to continue already, and hints are optional (RFC 9110 §15.2).
      fields.reset()
      return p + length
    }
    this.body.start(head.framing, head.bodyLength)
    this.#state = BODY
    this.#sink.onResponse(head)
    if (this.#state === BODY && this.body.done) {
      if (p + length < end) this.#overrun()
      else this.#complete()
    }
    return p + length
  }

  #wait(have: number): number {
    return have > HEAD_BYTES_MAX ? this.#refuseHead() : -1
  }

  #overrun(): void {
    this.overran = true
    this.#state = STOPPED
    this.#sink.onResponseEnd(this.body.trailers)
  }

  #complete(): void {
    this.#state = IDLE
    this.#sink.onResponseEnd(this.body.trailers)
  }

  #refuseHead(): number {
    this.#refuse()
    return -1
  }

  #refuse(): void {
    this.#state = STOPPED
    this.#kept = undefined
    this.#sink.onBadResponse()
  }
}
