import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { HttpRequestHead } from './request-head.ts'
import { RequestReader } from './request-reader.ts'

/** What a reader told, as text: the calls that matter, bodies joined. */
class Told {
  events: string[] = []
  reader: RequestReader
  #body = ''

  constructor(headBytesMax = 60 * 1024) {
    this.reader = new RequestReader(this, headBytesMax)
  }

  onRequest(head: HttpRequestHead): void {
    const fields = Array.from({ length: head.fields.count }, (_, i) => `${head.fields.name(i)}=${head.fields.value(i)}`)
    this.events.push(`${head.method} ${head.authority} ${head.path} framing=${head.framing} closes=${head.closes} ${fields.join('|')}`)
  }
  onBody(bytes: Uint8Array, start: number, end: number): void {
    this.#body += Buffer.from(bytes.subarray(start, end)).toString('latin1')
  }
  onRequestEnd(trailers: string): void {
    this.events.push(`end ${JSON.stringify(this.#body)} ${JSON.stringify(trailers)}`)
    this.#body = ''
    this.reader.next()
  }
  onBadRequest(problem: { status: number; details: string }): void {
    this.events.push(`bad ${problem.status}`)
    this.#body = ''
  }
}

function read(text: string, cuts: readonly number[] = [], headBytesMax?: number): string[] {
  const told = new Told(headBytesMax)
  const bytes = Buffer.from(text, 'latin1')
  let from = 0
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    if (cut <= from || cut >= bytes.length) continue
    told.reader.push(bytes, from, cut)
    from = cut
  }
  told.reader.push(bytes, from, bytes.length)
  return told.events
}

const statusOf = (text: string): string | undefined => read(text).find((event) => event.startsWith('bad'))

test('a request without a body is read', () => {
  assert.deepEqual(read('GET /a?b HTTP/1.1\r\nHost: x:80\r\nA:  b \r\n\r\n'), ['GET x:80 /a?b framing=0 closes=false Host=x:80|A=b', 'end "" ""'])
})

test('pipelined requests are read one after the other', () => {
  const events = read('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nabGET /2 HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.deepEqual(events.map((event) => event.split(' ').slice(0, 3).join(' ')), ['POST x /', 'end "ab" ""', 'GET x /2', 'end "" ""'])
})

test('chunks are joined, and trailers kept but for framing ones', () => {
  const events = read('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n')
  assert.equal(events[1], 'end "abc0123456789" "X-Sum: 1\\r\\n"')
})

test('absolute-form gives authority and path, whatever Host says', () => {
  assert.match(read('GET http://a.example:81/p?q HTTP/1.1\r\nHost: b\r\n\r\n')[0] ?? '', /^GET a\.example:81 \/p\?q /)
})

const head = (lines: string): string => `GET / HTTP/1.1\r\n${lines}\r\n`
const refused: readonly (readonly [string, string, string])[] = [
  ['two content lengths', head('Host: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n'), 'bad 400'],
  ['a signed content length', head('Host: x\r\nContent-Length: +1\r\n'), 'bad 400'],
  ['a content length list', head('Host: x\r\nContent-Length: 1, 1\r\n'), 'bad 400'],
  ['a hexadecimal content length', head('Host: x\r\nContent-Length: 0x1\r\n'), 'bad 400'],
  ['an empty content length', head('Host: x\r\nContent-Length:\r\n'), 'bad 400'],
  ['an enormous content length', head('Host: x\r\nContent-Length: 99999999999999999999\r\n'), 'bad 400'],
  ['content length with chunked', head('Host: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n'), 'bad 400'],
  ['an unknown transfer coding', head('Host: x\r\nTransfer-Encoding: gzip, chunked\r\n'), 'bad 501'],
  ['chunked twice', head('Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'), 'bad 501'],
  ['a disguised chunked', head('Host: x\r\nTransfer-Encoding: xchunked\r\n'), 'bad 501'],
  ['a folded line', head('Host: x\r\nA: b\r\n c\r\n'), 'bad 400'],
  ['a space before the colon', head('Host: x\r\nContent-Length : 1\r\n'), 'bad 400'],
  ['a bare LF after a field', 'GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n', 'bad 400'],
  ['a bare LF after the request line', 'GET / HTTP/1.1\nHost: x\r\n\r\n', 'bad 400'],
  ['a bare CR in a value', head('Host: x\r\nA: b\rc\r\n'), 'bad 400'],
  ['a NUL in a value', head('Host: x\r\nA: b\0c\r\n'), 'bad 400'],
  ['a DEL in a value', head('Host: x\r\nA: b\x7f\r\n'), 'bad 400'],
  ['an invalid name', head('Host: x\r\nA(b): c\r\n'), 'bad 400'],
  ['an empty name', head('Host: x\r\n: c\r\n'), 'bad 400'],
  ['no host', head('A: b\r\n'), 'bad 400'],
  ['two hosts', head('Host: x\r\nHost: x\r\n'), 'bad 400'],
  ['an empty host', head('Host:\r\n'), 'bad 400'],
  ['a host with a path', head('Host: x/y\r\n'), 'bad 400'],
  ['a host with userinfo', head('Host: a@x\r\n'), 'bad 400'],
  ['two spaces in the request line', 'GET  / HTTP/1.1\r\nHost: x\r\n\r\n', 'bad 400'],
  ['a space in the target', 'GET /a b HTTP/1.1\r\nHost: x\r\n\r\n', 'bad 400'],
  ['a control byte in the target', 'GET /a\x01 HTTP/1.1\r\nHost: x\r\n\r\n', 'bad 400'],
  ['a fragment', 'GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n', 'bad 400'],
  ['HTTP/1.0', 'GET / HTTP/1.0\r\nHost: x\r\n\r\n', 'bad 426'],
  ['HTTP/2 words', 'GET / HTTP/2.0\r\nHost: x\r\n\r\n', 'bad 400'],
  ['a relative target', 'GET a HTTP/1.1\r\nHost: x\r\n\r\n', 'bad 400'],
  ['a TLS record', '\x16\x03\x01\x02\x00', 'bad 400'],
  ['101 fields', head(`Host: x\r\n${'A: b\r\n'.repeat(100)}`), 'bad 431'],
]
for (const [what, bytes, expected] of refused) test(`${what}: ${expected}`, () => assert.equal(statusOf(bytes), expected))

const chunked = (body: string): string => `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${body}`
for (const [what, body] of [
  ['no size', '\r\nabc'],
  ['a signed size', '+3\r\nabc\r\n0\r\n\r\n'],
  ['a size with 0x', '0x3\r\nabc\r\n0\r\n\r\n'],
  ['a size with a space', '3 \r\nabc\r\n0\r\n\r\n'],
  ['a huge size', 'ffffffffffffffff\r\n'],
  ['a bare LF after the size', '3\nabc\r\n0\r\n\r\n'],
  ['data longer than its size', '3\r\nabcd\r\n0\r\n\r\n'],
  ['a bare LF in an extension', '3;a\nb\r\nabc\r\n0\r\n\r\n'],
  ['a trailer without a colon', '0\r\nabc\r\n\r\n'],
] as const) test(`a chunk with ${what}: 400`, () => assert.equal(statusOf(chunked(body)), 'bad 400'))

test('a head over its bound: 431', () => {
  assert.deepEqual(read(`GET / HTTP/1.1\r\nHost: x\r\nA: ${'b'.repeat(2000)}\r\n\r\n`, [], 1024), ['bad 431'])
  assert.deepEqual(read(`GET / HTTP/1.1\r\nHost: x\r\nA: ${'b'.repeat(2000)}`, [10, 1500], 1024), ['bad 431'])
})

test('hop-by-hop fields, and those that Connection names, are marked to be left out', () => {
  const told = new Told()
  const bytes = Buffer.from(head('Host: x\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 2\r\nX-End: 3\r\nTE: gzip\r\n'))
  told.reader.push(bytes, 0, bytes.length)
  // next() has begun a new head by now, so the marks are read from a reader that is held.
  const held = new RequestReader({ onRequest() {}, onBody() {}, onRequestEnd() {}, onBadRequest() {} }, 1024)
  held.push(bytes, 0, bytes.length)
  assert.equal(held.head.closes, true)
  assert.deepEqual([...held.head.dropped.subarray(0, 6)], [1, 1, 1, 1, 0, 1])
})

const messages = fc.array(
  fc.oneof(
    fc.constant('GET /a HTTP/1.1\r\nHost: x\r\nUser-Agent: t\r\n\r\n'),
    fc.string({ maxLength: 40 }).map((body) => `POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(body, 'latin1')}\r\n\r\n${Buffer.from(body, 'latin1').toString('latin1')}`),
    fc.array(fc.string({ minLength: 1, maxLength: 20 }), { maxLength: 4 }).map(
      (chunks) => `PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunks.map((chunk) => `${Buffer.byteLength(chunk, 'latin1').toString(16)};x=y\r\n${Buffer.from(chunk, 'latin1').toString('latin1')}\r\n`).join('')}0\r\nT: 1\r\n\r\n`,
    ),
    fc.constantFrom('\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n', 'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n', 'garbage\r\n\r\n', 'GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'),
  ),
  { minLength: 1, maxLength: 5 },
)

test('however the bytes are cut, the reader tells the same', () => {
  fc.assert(
    fc.property(messages, fc.array(fc.nat(400), { maxLength: 12 }), (parts, cuts) => {
      const text = parts.join('')
      assert.deepEqual(read(text, cuts), read(text))
    }),
    { numRuns: 500 },
  )
})

test('byte by byte is no different', () => {
  fc.assert(fc.property(messages, (parts) => assert.deepEqual(read(parts.join(''), Array.from({ length: parts.join('').length }, (_, i) => i)), read(parts.join('')))), { numRuns: 100 })
})

test('garbage never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (garbage, afterHead) => {
      const text = (afterHead ? 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n' : '') + Buffer.from(garbage).toString('latin1')
      read(text, [3, 50])
    }),
    { numRuns: 1000 },
  )
})
