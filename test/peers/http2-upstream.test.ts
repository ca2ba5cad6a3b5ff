import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http2 from 'node:http2'
import type net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { JsonValue } from '@bufbuild/protobuf'
import { ACK, DATA, END_HEADERS, END_STREAM, FRAME_HEADER_BYTES, GOAWAY, HEADERS, PING, PREFACE, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE } from '#proxy/http/h2/frames.ts'
import { connect } from '#proxy/testing/http2-peers.ts'
import { netServer } from '#proxy/testing/peers.ts'
import { data, type Fields, frame, headers, section } from './raw-http2.ts'
import { httpListener, startTwins, staticCluster } from './twins.ts'

/** Endpoints that speak HTTP/2 frame by frame, each in one way of its own, which no library would let them. */

const words = (...numbers: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(4 * numbers.length)
  for (const [at, number] of numbers.entries()) bytes.writeUInt32BE(number, 4 * at)
  return bytes
}
const reset = (id: number, code: number): Buffer => frame(RST_STREAM, 0, id, words(code))
const goaway = (last: number, code: number): Buffer => frame(GOAWAY, 0, 0, words(last, code))
const grant = (id: number, bytes: number): Buffer => frame(WINDOW_UPDATE, 0, id, words(bytes))
const OK: Fields = [[':status', '200']]
const GRPC: Fields = [...OK, ['content-type', 'application/grpc']]

interface Endpoint {
  /** What is said of the connection first; a SETTINGS frame unless given. */
  readonly greeting?: Buffer
  /** Called with the head of each request; `ended`: it has no body. */
  readonly onHead?: (say: (...frames: Buffer[]) => void, id: number, socket: net.Socket) => void
  /** At the end of a request's body; `bytes` of it came. */
  readonly onEnd?: (say: (...frames: Buffer[]) => void, id: number, bytes: number) => void
  /** What was asked, beside GET. */
  readonly method?: 'POST' | 'gRPC'
  /** Bytes of the request's body. */
  readonly bytes?: number
  /** The body does not end. */
  readonly open?: boolean
  /** The client resets its stream with this once the endpoint was asked, or its answer has begun. */
  readonly leavesWith?: number
}

const CODES = Array.from({ length: 14 }, (_, code) => code)
const big = 'x'.repeat(1000)

const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  ...Object.fromEntries(CODES.map((code) => [`reset at once with ${code}`, { onHead: (say, id) => say(reset(id, code)) } satisfies Endpoint])),
  ...Object.fromEntries(CODES.map((code) => [`reset behind the head with ${code}`, { onHead: (say, id) => say(headers(id, OK, false), reset(id, code)) } satisfies Endpoint])),
  'reset within the body': { onHead: (say, id) => say(headers(id, [...OK, ['content-length', '10']], false), data(id, 'half', false), reset(id, 2)) },
  'reset without error behind the whole answer': { method: 'POST', open: true, bytes: 10, onHead: (say, id) => say(headers(id, OK, false), data(id, 'enough'), reset(id, 0)) },
  'reset of gRPC': { method: 'gRPC', onHead: (say, id) => say(reset(id, 8)) },
  'reset of gRPC behind the head': { method: 'gRPC', onHead: (say, id) => say(headers(id, GRPC, false), reset(id, 8)) },
  'a whole answer': { onHead: (say, id) => say(headers(id, OK, false), data(id, 'ok')) },
  'a head that ends': { onHead: (say, id) => say(headers(id, OK)) },
  'an answer before the end of the request': { method: 'POST', open: true, bytes: 10, onHead: (say, id) => say(headers(id, OK, false), data(id, 'early')) },
  'trailers': { onHead: (say, id) => say(headers(id, OK, false), data(id, 'ok', false), headers(id, [['x-t', '1']])) },
  'hints first': { onHead: (say, id) => say(headers(id, [[':status', '103'], ['link', '</a>']], false), headers(id, OK, false), data(id, 'ok')) },
  'gRPC in trailers': { method: 'gRPC', onHead: (say, id) => say(headers(id, GRPC, false), data(id, '\0\0\0\0\0', false), headers(id, [['grpc-status', '0']])) },
  'gRPC that fails in trailers': { method: 'gRPC', onHead: (say, id) => say(headers(id, GRPC, false), headers(id, [['grpc-status', '9'], ['grpc-message', 'no']])) },
  'gRPC, trailers only': { method: 'gRPC', onHead: (say, id) => say(headers(id, [...GRPC, ['grpc-status', '5'], ['grpc-message', 'none']])) },
  'gRPC without trailers': { method: 'gRPC', onHead: (say, id) => say(headers(id, GRPC, false), data(id, '\0\0\0\0\0')) },
  'gRPC of HTTP 503': { method: 'gRPC', onHead: (say, id) => say(headers(id, [[':status', '503']], false), data(id, 'no')) },
  'a goodbye, and the answer': { onHead: (say, id) => say(goaway(id, 0), headers(id, OK, false), data(id, 'ok')) },
  'a goodbye twice, and the answer': { onHead: (say, id) => say(goaway(2 ** 31 - 1, 0), goaway(id, 0), headers(id, OK, false), data(id, 'ok')) },
  'a goodbye within the answer': { onHead: (say, id) => say(headers(id, OK, false), data(id, 'o', false), goaway(id, 2), data(id, 'k')) },
  'a goodbye within the answer, and the end': { onHead: (say, id, socket) => { say(headers(id, OK, false), data(id, 'o', false), goaway(id, 0)); socket.end() } },
  'the end at once': { onHead: (_say, _id, socket) => void socket.end() },
  'the end behind the head': { onHead: (say, id, socket) => { say(headers(id, OK, false)); socket.end() } },
  'the end without hello': { greeting: Buffer.alloc(0), onHead: (_say, _id, socket) => void socket.end() },
  'no HTTP/2': { greeting: Buffer.from('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n') },
  'a field in upper case': { onHead: (say, id) => say(headers(id, [...OK, ['X-Upper', '1']], false), data(id, 'ok')) },
  'no status': { onHead: (say, id) => say(headers(id, [['x-a', '1']], false), data(id, 'ok')) },
  'a status that is none': { onHead: (say, id) => say(headers(id, [[':status', 'abc']], false), data(id, 'ok')) },
  'a length that is too long': { onHead: (say, id) => say(headers(id, [...OK, ['content-length', '5']], false), data(id, 'ok')) },
  'a length that is too short': { onHead: (say, id) => say(headers(id, [...OK, ['content-length', '1']], false), data(id, 'ok')) },
  'a field of connections': { onHead: (say, id) => say(headers(id, [...OK, ['connection', 'close']], false), data(id, 'ok')) },
  'data without a head': { onHead: (say, id) => say(data(id, 'ok')) },
  'a head twice': { onHead: (say, id) => say(headers(id, OK, false), headers(id, OK, false), data(id, 'ok')) },
  'a promise': { onHead: (say, id) => say(frame(PUSH_PROMISE, END_HEADERS, id, Buffer.concat([words(2), section([[':method', 'GET'], [':scheme', 'http'], [':authority', 'a'], [':path', '/']])])), headers(id, OK, false), data(id, 'ok')) },
  'a frame that is too large': { onHead: (say, id) => say(headers(id, OK, false), frame(DATA, END_STREAM, id, Buffer.alloc(20_000, 'x'))) },
  'no window for the body': { greeting: frame(SETTINGS, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])), method: 'POST', bytes: 1000 },
  'a window for half of the body': { greeting: frame(SETTINGS, 0, 0, Buffer.from([0, 4, 0, 0, 1, 0xf4])), method: 'POST', bytes: 1000 },
  'a window that opens by and by': { greeting: frame(SETTINGS, 0, 0, Buffer.from([0, 4, 0, 0, 0, 100])), method: 'POST', bytes: 500, onHead: (say, id) => say(...Array.from({ length: 4 }, () => grant(id, 100))), onEnd: (say, id, bytes) => say(headers(id, OK, false), data(id, String(bytes))) },
  'a window that settings open': { greeting: frame(SETTINGS, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])), method: 'POST', bytes: 500, onHead: (say) => say(frame(SETTINGS, 0, 0, Buffer.from([0, 4, 0, 0, 0x10, 0]))), onEnd: (say, id, bytes) => say(headers(id, OK, false), data(id, String(bytes))) },
  'a window that overflows': { onHead: (say, id) => say(grant(id, 2 ** 31 - 1)) },
  'a window of nothing': { onHead: (say, id) => say(grant(id, 0)) },
  'nothing': {},
  'nothing, and the client leaves': { leavesWith: http2.constants.NGHTTP2_CANCEL },
  'nothing, and the client refuses': { leavesWith: http2.constants.NGHTTP2_REFUSED_STREAM },
  'half an answer, and the client leaves': { leavesWith: http2.constants.NGHTTP2_CANCEL, onHead: (say, id) => say(headers(id, [...OK, ['content-length', '2000']], false), data(id, big, false)) },
  'half an answer': { onHead: (say, id) => say(headers(id, [...OK, ['content-length', '2000']], false), data(id, big, false)) },
}

/** Answers SETTINGS and PING, and all else as it is told. `asked`: called for each head. */
async function serve(t: TestContext, endpoint: Endpoint, asked: () => void): Promise<number> {
  const server = await netServer(t, (socket) => {
    let kept = Buffer.alloc(0)
    let greeted = false
    const bodies = new Map<number, number>()
    const say = (...frames: Buffer[]): void => {
      if (!socket.destroyed) socket.write(Buffer.concat(frames))
    }
    socket.on('data', (chunk: Buffer) => {
      kept = Buffer.concat([kept, chunk])
      if (!greeted) {
        if (kept.length < PREFACE.length) return
        kept = kept.subarray(PREFACE.length)
        greeted = true
        say(endpoint.greeting ?? frame(SETTINGS, 0, 0))
      }
      while (kept.length >= FRAME_HEADER_BYTES && kept.length >= FRAME_HEADER_BYTES + kept.readUIntBE(0, 3)) {
        const length = kept.readUIntBE(0, 3)
        const [type, flags, id] = [kept.readUInt8(3), kept.readUInt8(4), kept.readUInt32BE(5)]
        const payload = kept.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + length)
        kept = kept.subarray(FRAME_HEADER_BYTES + length)
        if (type === SETTINGS && (flags & ACK) === 0) say(frame(SETTINGS, ACK, 0))
        else if (type === PING && (flags & ACK) === 0) say(frame(PING, ACK, 0, payload))
        else if (type === HEADERS) {
          endpoint.onHead?.(say, id, socket)
          asked()
        }
        else if (type === DATA) bodies.set(id, (bodies.get(id) ?? 0) + length)
        if ((type === HEADERS || type === DATA) && (flags & END_STREAM) !== 0) endpoint.onEnd?.(say, id, bodies.get(id) ?? 0)
      }
    })
  })
  return server.port
}

interface Told {
  readonly status: number
  readonly body: string
  readonly trailers: object
  /** Which code resets a stream is each proxy's own; that it is reset is not. */
  readonly reset: boolean
}

function ask(session: http2.ClientHttp2Session, path: string, { method = undefined, bytes = 0, open = false, leavesWith, onHead }: Endpoint, asked: Promise<void>): Promise<Told> {
  return new Promise((resolve) => {
    const grpc = method === 'gRPC'
    const stream = session.request({ ':method': method === undefined ? 'GET' : 'POST', ':path': path, ':authority': 'a', ...(grpc && { 'content-type': 'application/grpc', te: 'trailers' }) }, { endStream: method === undefined })
    let status = 0
    let body = ''
    let trailers: object = {}
    stream.on('response', (head) => {
      status = Number(head[':status'])
      if (head['grpc-status'] !== undefined) trailers = { 'grpc-status': head['grpc-status'], 'grpc-message': head['grpc-message'] }
    })
    stream.on('trailers', (lines) => (trailers = { ...lines }))
    stream.on('data', (chunk: Buffer) => {
      body += chunk.toString('latin1')
      if (leavesWith !== undefined) stream.close(leavesWith)
    })
    if (leavesWith !== undefined && onHead === undefined) void asked.then(() => stream.close(leavesWith))
    stream.on('end', () => stream.end())
    stream.on('error', () => undefined)
    stream.on('close', () => resolve({ status, body, trailers, reset: stream.rstCode !== 0 }))
    if (method === undefined) return
    if (bytes > 0) stream.write(Buffer.alloc(bytes))
    if (!open) stream.end()
  })
}

const page = readFileSync(join(import.meta.dirname, '../../docs/reference/envoy-differences.md'), 'utf8')
const explained = new Set([...page.matchAll(/^\| `([^`]+)`/gm)].map((found) => found[1]))
const type = 'type.googleapis.com/envoy.extensions'
const FORMAT = '%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %GRPC_STATUS_NUMBER% %BYTES_SENT%'

test('whatever an endpoint says in frames, Weft answers and logs what Envoy does', { timeout: 240_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-http2-upstream-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'log')
  const log: JsonValue = [{ name: 'envoy.access_loggers.file', typed_config: { '@type': `${type}.access_loggers.file.v3.FileAccessLog`, path: file, log_format: { text_format_source: { inline_string: `${FORMAT}\n` } } } }]
  const http2Options = { typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': `${type}.upstreams.http.v3.HttpProtocolOptions`, explicit_http_config: { http2_protocol_options: {} } } } }
  const names = Object.keys(ENDPOINTS)
  const heads = names.map(() => new EventEmitter())
  const ports = await Promise.all(Object.values(ENDPOINTS).map((endpoint, at) => serve(t, endpoint, () => heads[at]?.emit('head'))))
  // Those that end by a deadline; one of them has begun by then.
  const deadlines: Readonly<Record<string, string>> = { 'nothing': '0.3s', 'no window for the body': '0.3s', 'a window for half of the body': '0.3s', 'half an answer': '8s' }
  const routes = names.map((name, at) => ({ match: { path: `/${at}` }, route: { cluster: `c${at}`, timeout: deadlines[name] ?? '200s' } }))
  let weft = ''
  const twins = await startTwins(t, { listeners: [httpListener('main', [{ name: 'all', domains: ['*'], routes }], { access_log: log })], clusters: ports.map((port, at) => staticCluster(`c${at}`, [port], http2Options)) }, undefined, (text) => (weft += text))
  const lines = { envoy: () => readFileSync(file, 'utf8'), weft: () => { twins.runtime.flushLogs(); return weft } }
  const told: string[][] = []
  for (const engine of [twins.envoy, twins.weft]) {
    const session = await connect(t, engine.port('main'))
    told.push(await Promise.all(names.map(async (name, at) => {
      const asked = new Promise<void>((resolve) => heads[at]?.once('head', () => resolve()))
      const answer = await ask(session, `/${at}`, ENDPOINTS[name] ?? {}, asked)
      return JSON.stringify([answer, await lineOf(lines[engine.name], at)])
    })))
  }
  const differences: string[] = []
  const same: string[] = []
  for (const [at, name] of names.entries()) {
    const [theirs, ours] = [told[0]?.[at], told[1]?.[at]]
    if (theirs === ours) same.push(`endpoint: ${name}`)
    else if (!explained.has(`endpoint: ${name}`)) differences.push(`endpoint: ${name}\n  envoy ${theirs}\n  weft  ${ours}`)
  }
  assert.deepEqual(differences, [])
  assert.deepEqual(same.filter((name) => explained.has(name)), [])
})

/** What is logged of the one request for a path. */
async function lineOf(lines: () => string, at: number): Promise<string> {
  const deadline = performance.now() + 60_000
  for (;;) {
    const found = lines().split('\n').find((line) => line.startsWith(`/${at} `))
    if (found !== undefined) return found
    if (performance.now() > deadline) return 'no line'
    await new Promise((tick) => setTimeout(tick, 20))
  }
}
