import type http from 'node:http'
import type http2 from 'node:http2'
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import type { WorkloadWords } from '#core/contract/requests-file.ts'
import { CheckRequestSchema, CheckResponseSchema } from '#core/wire/gen/envoy/service/auth/v3/external_auth_pb.ts'
import { StatusCode } from '#core/wire/gen/envoy/type/v3/http_status_pb.ts'

type Words = NonNullable<NonNullable<WorkloadWords['application']>['authorizer']>
type Asked = http.IncomingMessage | http2.Http2ServerRequest
type Answering = http.ServerResponse | http2.Http2ServerResponse

const CHECK = '/envoy.service.auth.v3.Authorization/Check'
const GRPC_PREFIX_BYTES = 5
const PERMISSION_DENIED = 7
/** Told of by every proxy in its own way, or of no interest. */
const UNTOLD = /^(:|content-length$|transfer-encoding$|connection$|date$|user-agent$|x-request-id$|x-forwarded-|x-envoy-|traceparent$|accept-encoding$)/

/** A request as an authorizer is told of it. */
interface Told {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** It came as bytes, and not as text. */
  readonly asBytes?: boolean
}

/** Answers a question about a request: yes or no as the words have it, over HTTP, or over gRPC (envoy.service.auth.v3.Authorization). */
export function authorize(words: Words, request: Asked, response: Answering): void {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const body = Buffer.concat(chunks)
    if (request.url === CHECK) overGrpc(words, body, response)
    else overHttp(words, { method: request.method ?? '', path: request.url ?? '', headers: joined(request.headers), body: body.toString() }, response)
  })
}

const lets = ({ allows }: Words, { headers }: Told): boolean => Object.entries(allows).every(([name, value]) => headers[name.toLowerCase()] === value)

/** Headers of an answer, with what was asked where they say `{asked}`. */
function answerHeaders(headers: Readonly<Record<string, string>> | undefined, told: Told): [string, string][] {
  const fields = Object.entries(told.headers).filter(([name]) => !UNTOLD.test(name)).sort(([a], [b]) => (a < b ? -1 : 1))
  const asked = [told.method, told.path, ...fields.map(([name, value]) => `${name}=${value}`), ...(told.body === '' ? [] : [`${told.asBytes === true ? 'bytes' : 'body'}=${told.body}`])].join(' ')
  return Object.entries(headers ?? {}).map(([name, value]) => [name, value.replaceAll('{asked}', asked)])
}

function overHttp(words: Words, told: Told, response: Answering): void {
  const yes = lets(words, told)
  response.statusCode = yes ? 200 : (words.status ?? 403)
  for (const [name, value] of answerHeaders(yes ? words.allowed : words.denied, told)) response.setHeader(name, value)
  response.end(yes ? '' : (words.body ?? ''))
}

function overGrpc(words: Words, frame: Buffer, response: Answering): void {
  const { attributes } = fromBinary(CheckRequestSchema, frame.subarray(GRPC_PREFIX_BYTES))
  const http = attributes?.request?.http
  const told = { method: http?.method ?? '', path: http?.path ?? '', headers: http?.headers ?? {}, body: http?.body || Buffer.from(http?.rawBody ?? []).toString(), asBytes: (http?.rawBody.length ?? 0) > 0 }
  const yes = lets(words, told)
  const headers = answerHeaders(yes ? words.allowed : words.denied, told).map(([key, value]) => ({ header: { key, value } }))
  const verdict: MessageInitShape<typeof CheckResponseSchema> = {
    status: { code: yes ? 0 : PERMISSION_DENIED },
    httpResponse: yes ? { case: 'okResponse', value: { headers } } : { case: 'deniedResponse', value: { status: { code: statusOf(words) }, headers, body: words.body ?? '' } },
  }
  const message = toBinary(CheckResponseSchema, create(CheckResponseSchema, verdict))
  const prefix = Buffer.alloc(GRPC_PREFIX_BYTES)
  prefix.writeUInt32BE(message.length, 1)
  response.setHeader('content-type', 'application/grpc')
  response.addTrailers({ 'grpc-status': '0' })
  response.end(Buffer.concat([prefix, message]))
}

const statusOf = ({ status }: Words): StatusCode => Object.values(StatusCode).find((one) => one === status) ?? StatusCode.Forbidden

const joined = (headers: http.IncomingHttpHeaders): Record<string, string> => Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(',') : String(value)]))
