import { BodyReader, NO_BODY } from './body.ts'
import type { BodySink } from './body.ts'
import { BAD_START_LINE, INCOMPLETE, OLD_VERSION, TOO_MANY_FIELDS, scanFields, scanRequestLine } from './head-scan.ts'
import { HttpRequestHead, problems } from './request-head.ts'
import { latin1Text } from './latin1.ts'
import type { HeadProblem } from './request-head.ts'

export interface RequestSink extends BodySink {
  onRequest(head: HttpRequestHead): void
  /** The request is complete; the next one is not read until `next()`. */
  onRequestEnd(trailers: string): void
  /** The bytes are not a request. Nothing more is read. */
  onBadRequest(problem: HeadProblem): void
}

const HEAD = 0
const BODY = 1
/** The request is complete and its exchange is not. */
const HELD = 2
const STOPPED = 3

/** Requests out of a byte stream, one at a time: whatever the cuts between reads, the same calls in the same order. */
export class RequestReader {
  readonly head = new HttpRequestHead()
  readonly body = new BodyReader()
  /** Bytes kept: an incomplete head, or what follows a complete request. */
  kept: Buffer | undefined
  #state = HEAD
  readonly #sink: RequestSink
  readonly #headBytesMax: number
  #reading = false

  constructor(sink: RequestSink, headBytesMax: number) {
    this.#sink = sink
    this.#headBytesMax = headBytesMax
  }

  /** Between requests, with nothing received of the next one. */
  get idle(): boolean {
    return this.#state === HEAD && this.kept === undefined
  }

  get awaitsHead(): boolean {
    return this.#state === HEAD
  }

  stop(): void {
    this.#state = STOPPED
  }

  /** Stops reading HTTP and hands over what was received behind it. */
  takeRest(): Buffer | undefined {
    const rest = this.kept
    this.kept = undefined
    this.#state = STOPPED
    return rest
  }

  /** `bytes[start, end)` are valid until this returns. */
  push(bytes: Buffer, start: number, end: number): void {
    if (this.#state === STOPPED) return
    if (this.kept !== undefined) {
      const joined = Buffer.concat([this.kept, bytes.subarray(start, end)])
      this.kept = undefined
      this.#run(joined, 0, joined.length)
    } else this.#run(bytes, start, end)
  }

  /** The exchange is over: the next request may come, and may be here already. */
  next(): void {
    if (this.#state !== HELD) return
    this.#state = HEAD
    this.head.clear()
    // Called from within `#run` (an answer that needs nobody): its loop goes on by itself.
    if (this.#reading) return
    const kept = this.kept
    if (kept === undefined) return
    this.kept = undefined
    this.#run(kept, 0, kept.length)
  }

  #run(bytes: Buffer, from: number, end: number): void {
    this.#reading = true
    let p = from
    while (p < end && this.#state !== HELD && this.#state !== STOPPED) {
      if (this.#state === HEAD) {
        const after = this.#readHead(bytes, p, end)
        if (after < 0) break
        p = after
      } else {
        p = this.body.read(bytes, p, end, this.#sink)
        if (this.body.bad) this.#refuse(problems.chunk)
        else if (this.body.done && this.#state === BODY) this.#complete()
      }
    }
    this.#reading = false
    if (p < end && this.#state !== STOPPED) this.kept = Buffer.from(bytes.subarray(p, end))
  }

  /** Answers where the head ended, or -1 when it is incomplete or refused. */
  #readHead(bytes: Buffer, start: number, end: number): number {
    const head = this.head
    const fields = head.fields
    let p = start
    // RFC 9112 §2.2: ignore at least one empty line before the request line.
    if (bytes[p] === 13) {
      if (p + 1 >= end) return -1
      if (bytes[p + 1] !== 10) return this.#refuse(problems.startLine)
      p += 2
      if (p >= end) return -1
    }
    if (fields.fieldsStart === 0) {
      const line = scanRequestLine(bytes, p, end, fields)
      if (line === INCOMPLETE) return end - p > this.#headBytesMax ? this.#refuse(problems.tooLarge) : -1
      if (line < 0) return this.#refuse(line === OLD_VERSION ? problems.version : problems.startLine)
      fields.fieldsStart = line
      fields.startLineEnd = line
      fields.resumeAt = line
    }
    const length = scanFields(bytes, p, end, fields)
    if (length < 0) {
      if (length === INCOMPLETE) return end - p > this.#headBytesMax ? this.#refuse(problems.tooLarge) : -1
      return this.#refuse(length === TOO_MANY_FIELDS ? problems.tooMany : length === BAD_START_LINE ? problems.startLine : problems.field)
    }
    if (length > this.#headBytesMax) return this.#refuse(problems.tooLarge)
    fields.text = latin1Text(bytes, p, p + length)
    const problem = head.interpret()
    fields.fieldsStart = 0
    if (problem !== undefined) return this.#refuse(problem)
    this.body.start(head.framing, head.bodyLength)
    this.#state = BODY
    this.#sink.onRequest(head)
    if (this.#state === BODY && head.framing === NO_BODY) this.#complete()
    return p + length
  }

  #complete(): void {
    this.#state = HELD
    this.#sink.onRequestEnd(this.body.trailers)
  }

  #refuse(problem: HeadProblem): number {
    this.#state = STOPPED
    this.kept = undefined
    this.#sink.onBadRequest(problem)
    return -1
  }
}
