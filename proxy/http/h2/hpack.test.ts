import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FieldTable } from '../head-scan.ts'
import { HeadBlock } from './head-block.ts'
import { HpackDecoder } from './hpack-decoder.ts'
import { HpackEncoder } from './hpack-encoder.ts'
import { decodeHuffman, encodeHuffman, huffmanLength } from './huffman.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')

/** Decodes, and answers pseudo-fields and lines as text; undefined when it is a compression error. */
function decoded(decoder: HpackDecoder, bytes: Buffer, bytesMax = 65536): { text: string; block: HeadBlock } | undefined {
  const fields = new FieldTable()
  const block = new HeadBlock()
  block.begin(fields, bytesMax)
  if (!decoder.decode(bytes, 0, bytes.length, block)) return undefined
  block.end()
  const pseudo = [[':method', block.method], [':scheme', block.scheme], [':path', block.path], [':authority', block.authority ?? ''], [':status', block.status]].filter(([, value]) => value !== '')
  return { text: pseudo.map(([name, value]) => `${name}: ${value}\r\n`).join('') + fields.text, block }
}

const request = (extra: string, path = '/', scheme = 'http'): string => `:method: GET\r\n:scheme: ${scheme}\r\n:path: ${path}\r\n:authority: www.example.com\r\n${extra}`

/** RFC 7541 Appendix C: sections in their order, what they mean, and the table's size behind each. */
const vectors: readonly { name: string; tableBytes: number; sections: readonly (readonly [bytes: string, means: string, tableBytes: number])[] }[] = [
  { name: 'C.2.1 literal with indexing', tableBytes: 4096, sections: [['400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', 'custom-key: custom-header\r\n', 55]] },
  { name: 'C.2.2 literal without indexing', tableBytes: 4096, sections: [['040c 2f73 616d 706c 652f 7061 7468', ':path: /sample/path\r\n', 0]] },
  { name: 'C.2.3 literal never indexed', tableBytes: 4096, sections: [['1008 7061 7373 776f 7264 0673 6563 7265 74', 'password: secret\r\n', 0]] },
  { name: 'C.2.4 indexed', tableBytes: 4096, sections: [['82', ':method: GET\r\n', 0]] },
  {
    name: 'C.3 requests without Huffman', tableBytes: 4096,
    sections: [
      ['8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d', request(''), 57],
      ['8286 84be 5808 6e6f 2d63 6163 6865', request('cache-control: no-cache\r\n'), 110],
      ['8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65', request('custom-key: custom-value\r\n', '/index.html', 'https'), 164],
    ],
  },
  {
    name: 'C.4 requests with Huffman', tableBytes: 4096,
    sections: [
      ['8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff', request(''), 57],
      ['8286 84be 5886 a8eb 1064 9cbf', request('cache-control: no-cache\r\n'), 110],
      ['8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf', request('custom-key: custom-value\r\n', '/index.html', 'https'), 164],
    ],
  },
  {
    name: 'C.5 responses without Huffman', tableBytes: 256,
    sections: [
      ['4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d', ':status: 302\r\ncache-control: private\r\ndate: Mon, 21 Oct 2013 20:13:21 GMT\r\nlocation: https://www.example.com\r\n', 222],
      ['4803 3330 37c1 c0bf', ':status: 307\r\ncache-control: private\r\ndate: Mon, 21 Oct 2013 20:13:21 GMT\r\nlocation: https://www.example.com\r\n', 222],
      ['88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31', ':status: 200\r\ncache-control: private\r\ndate: Mon, 21 Oct 2013 20:13:22 GMT\r\nlocation: https://www.example.com\r\ncontent-encoding: gzip\r\nset-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1\r\n', 215],
    ],
  },
  {
    name: 'C.6 responses with Huffman', tableBytes: 256,
    sections: [
      ['4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3', ':status: 302\r\ncache-control: private\r\ndate: Mon, 21 Oct 2013 20:13:21 GMT\r\nlocation: https://www.example.com\r\n', 222],
      ['4883 640e ffc1 c0bf', ':status: 307\r\ncache-control: private\r\ndate: Mon, 21 Oct 2013 20:13:21 GMT\r\nlocation: https://www.example.com\r\n', 222],
      ['88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07', ':status: 200\r\ncache-control: private\r\ndate: Mon, 21 Oct 2013 20:13:22 GMT\r\nlocation: https://www.example.com\r\ncontent-encoding: gzip\r\nset-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1\r\n', 215],
    ],
  },
]

for (const { name, tableBytes, sections } of vectors) {
  test(`RFC 7541 ${name}`, () => {
    const decoder = new HpackDecoder(tableBytes)
    for (const [bytes, means, size] of sections) {
      assert.equal(decoded(decoder, hex(bytes))?.text, means)
      assert.equal(decoder.tableBytes, size)
    }
  })
}

test('Huffman strings come back as they were, and every byte has a code', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const text = Buffer.from(bytes).toString('latin1')
      const coded = Buffer.alloc(huffmanLength(text))
      assert.equal(encodeHuffman(text, coded, 0), coded.length)
      const out = Buffer.alloc(bytes.length + 8)
      const length = decodeHuffman(coded, 0, coded.length, out)
      assert.equal(out.toString('latin1', 0, length), text)
    }),
  )
})

test('Huffman padding is ones, shorter than a byte, and EOS is no symbol', () => {
  const out = Buffer.alloc(64)
  for (const bad of ['1fff', '18', 'ffffffff', 'fffffffc']) assert.equal(decodeHuffman(hex(bad), 0, bad.length / 2, out), -1, bad)
  assert.equal(decodeHuffman(hex('1f'), 0, 1, out), 1)
})

const token = fc.stringMatching(/^[a-z0-9-]{1,20}$/).filter((name) => !['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'host', 'te', 'content-length', 'cookie', 'http2-settings'].includes(name))
const value = fc.stringMatching(/^([!-~\u00a1-\u00ff]([ -~]{0,40}[!-~])?)?$/)

test('what the encoder writes, the decoder reads, section after section', () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.tuple(token, value), { maxLength: 12 }), { minLength: 1, maxLength: 30 }), fc.integer({ min: 0, max: 4096 }), (sections, tableBytes) => {
      const encoder = new HpackEncoder()
      const decoder = new HpackDecoder(4096)
      encoder.allow(tableBytes)
      // Each twice, so that lines enter the table and are found there.
      for (const section of [...sections, ...sections, ...sections]) {
        const lines = section.map(([name, text]) => `${name}: ${text}\r\n`).join('')
        const bytes = Buffer.alloc(HpackEncoder.roomFor(lines.length + 16))
        encoder.begin(bytes, 0)
        encoder.status(207)
        encoder.lines(lines)
        const got = decoded(decoder, bytes.subarray(0, encoder.end()))
        assert.equal(got?.text, `:status: 207\r\n${lines}`)
        assert.equal(got?.block.malformed, false)
        assert.ok(encoder.tableBytes <= tableBytes && encoder.tableBytes === decoder.tableBytes)
      }
    }),
    { numRuns: 60 },
  )
})

test('a repeated head costs a byte a line, and names are lower-case whatever they were', () => {
  const encoder = new HpackEncoder()
  const bytes = Buffer.alloc(4096)
  let length = 0
  for (let i = 0; i < 3; i++) {
    encoder.begin(bytes, 0)
    encoder.method('GET')
    encoder.path('/orders')
    encoder.lines('User-Agent: curl/8\r\nX-Shop: one\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTE: gzip\r\n')
    length = encoder.end()
    const got = decoded(new HpackDecoder(4096), bytes.subarray(0, length))
    if (i === 0) assert.match(got?.text ?? '', /user-agent: curl\/8\r\nx-shop: one\r\n$/)
  }
  assert.equal(length, 4)
})

test('credentials never enter a table', () => {
  const encoder = new HpackEncoder()
  const bytes = Buffer.alloc(1024)
  for (let i = 0; i < 4; i++) {
    encoder.begin(bytes, 0)
    encoder.lines('authorization: Bearer abc\r\ncookie: a=b\r\n')
    assert.equal(bytes[0]! & 0xf0, 0x10)
  }
  assert.equal(encoder.tableBytes, 0)
})

test('what is no field section is refused', () => {
  const bad = {
    'index 0': '80', 'index beyond the tables': 'ff00', 'a name beyond the tables': '7f00 01 61', 'a string cut short': '4003 6162', 'an endless integer': 'ffffffffffffffff', 'a resize too large': '3fe21f',
    'a resize behind a field': '82 20', 'bad Huffman': '4081 18 00',
  }
  for (const [name, bytes] of Object.entries(bad)) assert.equal(decoded(new HpackDecoder(4096), hex(bytes)), undefined, name)
})

test('malformed fields are told from good ones', () => {
  const bad = ['4003 4142 43 01 61', '4001 61 02 0d0a', '4001 61 0120', '0003 3a61 62 0161', '8282', '0007 7570 6772 6164 65 0161', '4002 7465 0467 7a69 70', '0f0d 012d', '0f0d 0131 0f0d 0131', '4000 0161']
  for (const bytes of bad) assert.equal(decoded(new HpackDecoder(4096), hex(bytes))?.block.malformed, true, bytes)
  assert.equal(decoded(new HpackDecoder(4096), hex('82 4001 61 0161 86'))?.block.malformed, true, 'a pseudo-field behind a field')
  const crumbs = decoded(new HpackDecoder(4096), hex('6003 613d 62 6003 633d 64'))
  assert.equal(crumbs?.text, 'cookie: a=b; c=d\r\n')
})

test('a bomb of indexed fields is decoded without being kept', () => {
  const decoder = new HpackDecoder(4096)
  const big = Buffer.concat([hex('4001 61 7f'), Buffer.from([0xa1, 0x1e]), Buffer.alloc(4000, 120)])
  assert.ok(decoded(decoder, big))
  const started = process.memoryUsage().heapUsed
  const got = decoded(decoder, Buffer.alloc(16_000, 0xbe), 60 * 1024)
  assert.equal(got?.block.tooLarge, true)
  assert.ok((got?.text.length ?? 0) <= 60 * 1024)
  assert.ok(process.memoryUsage().heapUsed - started < 8 * 1024 * 1024)
})

test('garbage never throws', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), (sections) => {
      const decoder = new HpackDecoder(4096)
      for (const bytes of sections) if (decoded(decoder, Buffer.from(bytes)) === undefined) return
    }),
    { numRuns: 2000 },
  )
})
