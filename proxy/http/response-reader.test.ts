import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { ResponseReader } from './response-reader.ts'
import type { HttpResponseHead } from './response-reader.ts'

function read(text: string, cuts: readonly number[] = [], method = 'GET', ends = false): string[] {
  const events: string[] = []
  let body = ''
  const reader = new ResponseReader({
    onResponse: (head: HttpResponseHead) => events.push(`${head.status} framing=${head.framing} closes=${head.closes}`),
    onBody: (bytes, start, end) => {
      body += Buffer.from(bytes.subarray(start, end)).toString('latin1')
    },
    onResponseEnd: (trailers) => events.push(`end ${JSON.stringify(body)} ${JSON.stringify(trailers)}${reader.overran ? ' overran' : ''}`),
    onBadResponse: () => events.push('bad'),
  })
  reader.expect(method)
  const bytes = Buffer.from(text, 'latin1')
  let from = 0
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    if (cut <= from || cut >= bytes.length) continue
    reader.push(bytes, from, cut)
    from = cut
  }
  reader.push(bytes, from, bytes.length)
  if (ends) reader.end()
  return events
}

test('a body of known length', () => assert.deepEqual(read('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc'), ['200 framing=1 closes=false', 'end "abc" ""']))
test('a chunked body with trailers', () => assert.deepEqual(read('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: 1\r\n\r\n'), ['200 framing=2 closes=false', 'end "abc" "X: 1\\r\\n"']))
test('a body that ends with the connection', () => assert.deepEqual(read('HTTP/1.1 200 OK\r\n\r\nabc', [], 'GET', true), ['200 framing=3 closes=true', 'end "abc" ""']))
test('no body after HEAD, 204 and 304, whatever the length says', () => {
  assert.deepEqual(read('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n', [], 'HEAD'), ['200 framing=0 closes=false', 'end "" ""'])
  assert.deepEqual(read('HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n'), ['304 framing=0 closes=false', 'end "" ""'])
  assert.deepEqual(read('HTTP/1.1 204 No Content\r\n\r\n'), ['204 framing=0 closes=false', 'end "" ""'])
})
test('interim answers are skipped', () => assert.deepEqual(read('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n').length, 2))
test('bytes behind an answer are noticed', () => assert.match(read('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabHTTP/1.1 200 OK\r\n')[1] ?? '', /overran$/))
for (const bad of ['HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 'HTTP/1.1 20 OK\r\n\r\n', 'HTTP/1.1 099 X\r\n\r\n', 'SSH-2.0-x\r\n', 'HTTP/1.1 200 OK\r\nA : b\r\n\r\n', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n']) {
  test(`refused: ${JSON.stringify(bad)}`, () => assert.equal(read(bad).at(-1), 'bad'))
}

test('however the bytes are cut, the reader tells the same', () => {
  const answers = fc.constantFrom(
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: t\r\n\r\nabcde',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 200 OK\r\n\r\nuntil the end',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  )
  fc.assert(fc.property(answers, fc.array(fc.nat(100), { maxLength: 10 }), (text, cuts) => assert.deepEqual(read(text, cuts, 'GET', true), read(text, [], 'GET', true))), { numRuns: 500 })
})

test('garbage never throws', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (garbage, afterHead) => void read((afterHead ? 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' : 'HTTP/1.1 ') + Buffer.from(garbage).toString('latin1'), [5, 40])), { numRuns: 1000 })
})
