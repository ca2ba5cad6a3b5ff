import { FieldTable } from '#proxy/http/head-scan.ts'
import { Connection } from '#proxy/http/h2/connection.ts'
import type { ConnectionOwner } from '#proxy/http/h2/connection.ts'
import { HeadBlock } from '#proxy/http/h2/head-block.ts'
import { HpackDecoder } from '#proxy/http/h2/hpack-decoder.ts'
import { PREFACE } from '#proxy/http/h2/frames.ts'
import type { Stream } from '#proxy/http/h2/stream.ts'
import { RequestReader } from '#proxy/http/request-reader.ts'
import { ResponseReader } from '#proxy/http/response-reader.ts'
import { sniff } from '#proxy/listener/sniff.ts'
import { readProxyHeader } from '#proxy/tcp/proxy-header.ts'
import { discovery, lookUps, resources, tokens } from './message-targets.ts'

/** What reads bytes of strangers. `read` answers what was made of them, in the order of the calls; the same bytes in other pieces must come to the same. */
export interface Target {
  readonly seeds: readonly string[]
  /** How long it is tried, unless told otherwise. */
  readonly seconds?: number
  /** Events that name kinds and outcomes, and no content: inputs with new ones are worth keeping. */
  read(pieces: readonly Buffer[]): string[]
}

const HEAD_BYTES_MAX = 8192

const requests: Target = {
  seeds: [
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'POST /x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello', 'PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n5;e=1\r\nhello\r\n0\r\nX: 1\r\n\r\n',
    'GET http://b:80/ HTTP/1.1\r\nHost: a\r\nConnection: upgrade, x\r\nUpgrade: websocket\r\nX: 1\r\n\r\n', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n', 'OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nExpect: 100-continue\r\nTE: trailers\r\n\r\n',
  ],
  read(pieces) {
    const events: string[] = []
    const reader = new RequestReader(
      {
        onRequest: (head) => events.push(`request ${head.method.length} ${head.framing} ${head.closes} ${head.upgrade === ''} ${head.fields.count} ${head.path.length} ${head.authority}`),
        onBody() {},
        onRequestEnd(trailers) {
          events.push(`end ${trailers.length}`)
          reader.next()
        },
        onBadRequest: (problem) => events.push(`bad ${problem.details}`),
      },
      HEAD_BYTES_MAX,
    )
    for (const piece of pieces) reader.push(piece, 0, piece.length)
    if ((reader.kept?.length ?? 0) > 2 * HEAD_BYTES_MAX + 65_536) throw new Error(`${reader.kept?.length ?? 0} bytes are kept`)
    return events
  },
}

const responses: Target = {
  seeds: [
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: 1\r\n\r\n', 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n', 'HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nall',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nrest',
  ],
  read(pieces) {
    const events: string[] = []
    const reader = new ResponseReader({
      onResponse: (head) => events.push(`response ${head.status} ${head.framing} ${head.closes}`),
      onBody() {},
      onResponseEnd: (trailers) => events.push(`end ${trailers.length} ${reader.overran}`),
      onBadResponse: () => events.push('bad'),
    })
    reader.expect('GET')
    // Behind an answer nothing is read: the connection is given back, or closed.
    for (const piece of pieces) if (!events.some((one) => one.startsWith('end') || one === 'bad')) reader.push(piece, 0, piece.length)
    // Whether more came behind an answer depends on when it is asked.
    return events.map((one) => one.replace(/ (true|false)$/, one.startsWith('end') ? '' : ' $1'))
  },
}

const sections: Target = {
  seeds: ['\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff', '\x40\x0acustom-key\x0dcustom-header', '\x3f\xe1\x1f\x82', '\x10\x08password\x06secret', '\x20\x82\x87'],
  read(pieces) {
    const bytes = Buffer.concat(pieces)
    const [fields, block] = [new FieldTable(), new HeadBlock()]
    block.begin(fields, HEAD_BYTES_MAX)
    const good = new HpackDecoder(4096).decode(bytes, 0, bytes.length, block)
    if (fields.text.length > 4 * HEAD_BYTES_MAX) throw new Error(`${fields.text.length} characters are kept`)
    return [good ? `section ${fields.count} ${block.tooLarge} ${block.method !== ''}` : 'bad']
  },
}

/** The client's side of HTTP/2 behind its preface: whatever comes, the connection answers with frames, and ends with one error at most. */
const frames: Target = {
  seeds: [
    '\0\0\0\x04\0\0\0\0\0', '\0\0\x11\x01\x05\0\0\0\x01\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff', '\0\0\x05\0\x01\0\0\0\x01hello', '\0\0\x08\x06\0\0\0\0\x0012345678', '\0\0\x04\x08\0\0\0\0\0\0\0\x10\0', '\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08', '\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0',
    '\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64', '\0\0\0\x09\x04\0\0\0\x01', '\0\0\x05\x02\0\0\0\0\x03\0\0\0\x01\x0f',
  ],
  read(pieces) {
    const events: string[] = []
    let failures = 0
    const owner: ConnectionOwner = {
      headFields: new FieldTable(),
      onRequest: (stream: Stream, block: HeadBlock, ends: boolean) => {
        events.push(`request ${block.tooLarge} ${ends}`)
        stream.receiver = { headFields: new FieldTable(), onHead: () => false, onData: () => void events.push('data'), onEnd: () => void events.push('end'), onReset: (code, by) => void events.push(`reset ${code} ${by}`), onWritable() {} }
      },
      onGoaway: () => void events.push('goaway'),
      onSettings: () => void events.push('settings'),
      onPong: () => void events.push('pong'),
      onStreamClosed() {},
      onFailed: () => void (failures += 1),
    } as ConnectionOwner
    const connection = new Connection(owner, true, { streamWindow: 65_535, connectionWindow: 1 << 20, concurrentStreamsMax: 100, headerBytesMax: HEAD_BYTES_MAX }, 0)
    let written = 0
    connection.begin({
      congested: false,
      writeBytes(bytes, done) {
        written += bytes.length
        done()
      },
    })
    const preface = typeof PREFACE === 'string' ? Buffer.from(PREFACE, 'latin1') : Buffer.from(PREFACE)
    connection.read(preface, 0, preface.length)
    for (const piece of pieces) connection.read(piece, 0, piece.length)
    connection.out.flush()
    const received = pieces.reduce((sum, piece) => sum + piece.length, 0)
    if (failures > 1) throw new Error(`the connection failed ${failures} times`)
    if (written > 20 * received + 4096) throw new Error(`${written} bytes were written for ${received}`)
    events.push(`failed ${failures}`)
    // A frame of data may be told in several parts.
    return events.filter((one, nth) => one !== 'data' || events[nth - 1] !== 'data')
  },
}

/** What the first bytes say; more pieces are asked for until it is settled. */
const first: Target = {
  seeds: ['\x16\x03\x01\0\x05\x01\0\0\x01\x03', 'GET / HTTP/1.1\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'SSH-2.0-x\r\n', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n', '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\0\x01\0\x02'],
  read(pieces) {
    const bytes = Buffer.concat(pieces)
    const [seen, header] = [sniff(bytes), readProxyHeader(bytes, [1, 2])]
    return [`${seen?.transportProtocol ?? 'lacking'} ${seen?.applicationProtocols.length ?? 0} ${(seen?.serverName ?? '') !== ''}`, typeof header === 'string' ? header : `header ${header.addresses === undefined}`]
  },
}

/** The codecs stand before everything else, and are tried the longest. */
const CODEC_SECONDS = 20

export const targets: Readonly<Record<string, Target>> = {
  requests: { ...requests, seconds: CODEC_SECONDS },
  responses: { ...responses, seconds: CODEC_SECONDS },
  sections: { ...sections, seconds: CODEC_SECONDS },
  frames: { ...frames, seconds: CODEC_SECONDS },
  first,
  'look-ups': lookUps,
  tokens,
  resources,
  discovery,
}
