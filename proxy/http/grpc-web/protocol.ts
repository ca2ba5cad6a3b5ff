import type { WebForm } from '#core/route/grpc-web.ts'
import type { Answer } from '../answer.ts'
import { grpcStatusOf, percentEncoded } from '../grpc.ts'

/** What gRPC-Web's clients are answered (grpc/grpc doc/PROTOCOL-WEB.md). */

export const typeLine = (form: WebForm): string => `content-type: application/grpc-web${form === 'text' ? '-text' : ''}+proto\r\n`

/** An answer's content that gRPC's clients read, and gRPC-Web's own, which a server may speak itself. */
export const isGrpcContent = (type: string): boolean => /^application\/grpc(?:$|[+; ])/i.test(type) || /^application\/grpc-web(?:\+proto)?[ \t]*(?:$|;)/i.test(type)

const TRAILERS = 0x80

/** The last message of an answer: its trailers, lines with their CRLFs, as a block of HTTP/1's. */
export function trailersFrame(trailers: string): Buffer {
  const block = Buffer.from(trailers.replaceAll(/^([^:\r\n]+):[ \t]*/gm, (_, name: string) => `${name.toLowerCase()}:`), 'latin1')
  const prefix = Buffer.alloc(5)
  prefix[0] = TRAILERS
  prefix.writeUInt32BE(block.length, 1)
  return Buffer.concat([prefix, block])
}

/** The lines by which an answer that is no gRPC tells its status and its words, in its head alone. */
export const statusLines = (httpStatus: number, words: string, grpcStatus: number = grpcStatusOf(httpStatus)): string => `grpc-status: ${grpcStatus}\r\n${words === '' ? '' : `grpc-message: ${percentEncoded(words)}\r\n`}`

/** An answer of our own as a client of gRPC-Web understands it. */
export function asGrpcWeb(answer: Answer, form: WebForm): Answer {
  const fields = answer.fields.replaceAll(/^content-type:.*\r\n/gim, '') + typeLine(form)
  return answer.body === '' ? { ...answer, fields } : { ...answer, body: '', fields: fields + statusLines(answer.status, answer.body, answer.grpcStatus) }
}
