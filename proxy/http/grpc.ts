import type { Answer } from './answer.ts'
import type { HttpRequestHead } from './request-head.ts'

/** What gRPC over HTTP needs of a proxy (grpc/grpc doc/PROTOCOL-HTTP2.md). */

/** A request whose client reads `grpc-status`: `application/grpc`, alone or with `+proto` and the like behind it; not gRPC-Web. */
export function isGrpc(request: HttpRequestHead): boolean {
  if (request.method !== 'POST') return false
  const type = request.fields.find('content-type')
  return type !== undefined && /^application\/grpc(?:$|[+; ])/i.test(type)
}

/** `grpc-status` among trailer lines; -1 without. */
export function statusInTrailers(trailers: string): number {
  const found = /^grpc-status:[ \t]*(\d{1,3})[ \t]*\r$/im.exec(trailers)
  return found?.[1] === undefined ? -1 : Number(found[1])
}

/** doc/http-grpc-status-mapping.md: what a client makes of an HTTP status, and what a proxy says in its place. */
const fromHttp: ReadonlyMap<number, number> = new Map([[400, 13], [401, 16], [403, 7], [404, 12], [429, 14], [502, 14], [503, 14], [504, 14]])

export const grpcStatusOf = (httpStatus: number): number => fromHttp.get(httpStatus) ?? 2

/** The other way, as Envoy judges endpoints by an answer that is a status alone. */
const toHttp: ReadonlyMap<number, number> = new Map([
  [0, 200], [1, 499], [2, 500], [3, 400], [4, 504], [5, 404], [6, 409], [7, 403], [8, 429], [9, 400], [10, 409], [11, 400], [12, 501], [13, 500], [14, 503], [15, 500], [16, 401],
])

export const httpStatusOf = (grpcStatus: number): number => toHttp.get(grpcStatus) ?? 500

/** An answer of our own as a gRPC client understands it: a status in the head alone, the words as its message. Redirections stay what they are. */
export function asGrpc(answer: Answer): Answer {
  if (answer.status < 400) return answer
  const message = answer.body === '' ? '' : `grpc-message: ${percentEncoded(answer.body)}\r\n`
  return { ...answer, status: 200, body: '', fields: `${answer.fields}content-type: application/grpc\r\ngrpc-status: ${answer.grpcStatus ?? grpcStatusOf(answer.status)}\r\n${message}` }
}

/** PROTOCOL-HTTP2.md, Percent-Encoded: printable ASCII but `%` stays. */
export const percentEncoded = (text: string): string => text.replaceAll(/[^ -$&-~]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)

const UNITS_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000_001 }

/** `grpc-timeout` in ms, at least 1; undefined when it is absent or not one. */
export function grpcTimeoutMs(header: string | undefined): number | undefined {
  const parts = header === undefined ? null : /^(\d{1,8})([HMSmun])$/.exec(header)
  if (parts === null) return undefined
  return Math.max(1, Math.ceil(Number(parts[1]) * (UNITS_MS[parts[2] ?? ''] ?? 0)))
}
