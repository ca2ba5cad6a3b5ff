import { webForm } from '#core/route/grpc-web.ts'
import type { WebForm } from '#core/route/grpc-web.ts'
import { answers } from '../answer.ts'
import { CHUNKED, LENGTH, NO_BODY } from '../body.ts'
import type { Exchange } from '../exchange.ts'
import { responseLines } from '../response-out.ts'
import type { HttpResponseHead } from '../response-reader.ts'
import { Base64In } from './base64-in.ts'
import { FramesAsText } from './frames-as-text.ts'
import { isGrpcContent, statusLines, trailersFrame, typeLine } from './protocol.ts'

/** Of an answer that is no gRPC so much becomes the message of its status; Envoy's bound. */
const MESSAGE_BYTES_MAX = 16_384

/**
 * A call of gRPC-Web that goes on as gRPC (grpc/grpc doc/PROTOCOL-WEB.md). Its request's letters become bytes as they come, and its answer's trailers a last message. An answer that is
 * no gRPC is told as a status. `proxy/filter/grpc-web.ts` finds such calls; from then on the exchange hands over what comes of either body.
 */
export class GrpcWebCall {
  /** How the client wants its answer. */
  readonly form: WebForm
  /** Bytes of the request as it goes on. */
  requestBytes = 0
  readonly #letters: Base64In | undefined
  readonly #text: FramesAsText | undefined
  /** What there is of an answer that is no gRPC. */
  #words: Buffer | undefined = undefined
  #heldHead: { readonly status: number; readonly statusText: string; readonly lines: string } | undefined = undefined

  constructor(request: WebForm, accepts: string | undefined) {
    this.form = webForm(accepts) === 'text' ? 'text' : 'binary'
    this.#letters = request === 'text' ? new Base64In() : undefined
    this.#text = this.form === 'text' ? new FramesAsText() : undefined
  }

  // ---- the request

  /** From here on the exchange is this call, with what came of its body already. False: that was no base64, and is answered. */
  begin(exchange: Exchange): boolean {
    exchange.grpcWeb = this
    exchange.speakGrpc()
    const { kept } = exchange
    exchange.kept = undefined
    for (const chunk of kept?.chunks ?? []) if (!this.readBody(exchange, chunk, 0, chunk.length)) return false
    return !exchange.requestComplete || this.readEnd(exchange)
  }

  /** Hands the exchange the bytes that these letters are, or these bytes as they are. False: they were no letters, and that is answered. */
  readBody(exchange: Exchange, bytes: Buffer, start: number, end: number): boolean {
    const read = this.#letters === undefined ? bytes.subarray(start, end) : this.#letters.push(bytes, start, end)
    if (this.#letters?.bad === true) return refuse(exchange)
    this.requestBytes += read.length
    // Less than four letters are no byte yet, and a piece of none would end a body of chunks.
    if (read.length > 0) exchange.takeBody(read, 0, read.length)
    return true
  }

  /** False: the request broke off, and that is answered. */
  readEnd(exchange: Exchange): boolean {
    return this.#letters?.whole !== false || refuse(exchange)
  }

  // ---- the answer

  /** The answer's head, as far as it can be said now. */
  sendHead(exchange: Exchange, head: HttpResponseHead): void {
    const { connection } = exchange
    const lines = responseLines(exchange, head).replaceAll(/^content-(?:type|length):.*\r\n/gim, '') + typeLine(this.form)
    if (head.framing === NO_BODY) return connection.sendHead(head.status, head.statusText, lines + this.#emptiness(exchange), NO_BODY)
    if (head.status === 200 && isGrpcContent(head.header('content-type') ?? '')) return connection.sendHead(head.status, head.statusText, lines, head.framing === LENGTH ? CHUNKED : head.framing)
    this.#words = Buffer.alloc(0)
    this.#heldHead = { status: head.status, statusText: head.statusText, lines }
  }

  #emptiness(exchange: Exchange): string {
    return exchange.overHttp2 ? '' : 'content-length: 0\r\n'
  }

  sendBody(exchange: Exchange, bytes: Buffer, start: number, end: number): void {
    if (this.#words !== undefined) {
      const room = MESSAGE_BYTES_MAX - this.#words.length
      if (room > 0) this.#words = Buffer.concat([this.#words, bytes.subarray(start, Math.min(end, start + room))])
    } else if (this.#text === undefined) this.#send(exchange, bytes, start, end)
    else this.#sendWhole(exchange, this.#text.push(bytes, start, end))
  }

  sendEnd(exchange: Exchange, trailers: string): void {
    const { connection } = exchange
    if (this.#heldHead !== undefined) {
      const { status, statusText, lines } = this.#heldHead
      connection.sendHead(status, statusText, lines + statusLines(status, this.#words?.toString('latin1') ?? '') + this.#emptiness(exchange), NO_BODY)
    } else {
      if (this.#text !== undefined) this.#sendWhole(exchange, this.#text.end())
      if (trailers !== '') {
        const frame = trailersFrame(trailers)
        this.#sendWhole(exchange, this.form === 'text' ? Buffer.from(frame.toString('base64'), 'latin1') : frame)
      }
    }
    connection.sendEnd('')
  }

  #sendWhole(exchange: Exchange, bytes: Buffer): void {
    if (bytes.length > 0) this.#send(exchange, bytes, 0, bytes.length)
  }

  #send(exchange: Exchange, bytes: Buffer, start: number, end: number): void {
    exchange.responseBytes += end - start
    exchange.connection.sendBody(bytes, start, end)
  }
}

function refuse(exchange: Exchange): false {
  exchange.giveUp(answers.badBase64)
  return false
}
