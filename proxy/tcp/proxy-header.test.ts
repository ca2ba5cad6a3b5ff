import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { isAddress } from '#core/match/cidr.ts'
import { PROXY_HEADER_BYTES_MAX, readProxyHeader, writeProxyHeader } from './proxy-header.ts'

const BOTH = [1, 2] as const
const v1 = (text: string) => readProxyHeader(Buffer.from(text, 'latin1'), BOTH)
const signature = '0d0a0d0a000d0a515549540a'
const v2 = (hex: string) => readProxyHeader(Buffer.from(signature + hex.replaceAll(' ', ''), 'hex'), BOTH)

test('version 1 tells who called, and is taken only as it is written down', () => {
  assert.deepEqual(v1('PROXY TCP4 198.51.100.7 192.0.2.1 51000 443\r\nGET /'), { length: 45, addresses: { source: { address: '198.51.100.7', port: 51000 }, destination: { address: '192.0.2.1', port: 443 } } })
  assert.deepEqual(v1('PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n'), { length: 44, addresses: { source: { address: '2001:db8::1', port: 1 }, destination: { address: '2001:db8::2', port: 65535 } } })
  assert.deepEqual(v1('PROXY UNKNOWN\r\n'), { length: 15, addresses: undefined })
  assert.deepEqual(v1('PROXY UNKNOWN ffff::1 whatever 1 2\r\n'), { length: 36, addresses: undefined })
  for (const bad of [
    'TCP4 198.51.100.7 192.0.2.1 51000', 'TCP4 2001:db8::1 192.0.2.1 1 2', 'TCP6 198.51.100.7 192.0.2.1 1 2', 'TCP4 198.51.100.7  192.0.2.1 1 2', 'TCP4 198.51.100.7 192.0.2.1 1 65536', 'TCP4 198.51.100.7 192.0.2.1 01 2',
    'TCP4 198.51.100.7 192.0.2.1 1 2 3', 'tcp4 198.51.100.7 192.0.2.1 1 2', 'UDP4 198.51.100.7 192.0.2.1 1 2', 'TCP6 fe80::1%lo fe80::2 1 2', 'TCP4 198.51.100.7\t192.0.2.1 1 2', '', 'TCP4 0x7f.1 127.1 1 2', 'TCP4 198.51.100.7 192.0.2.1 -1 2',
  ]) assert.equal(v1(`PROXY ${bad}\r\n`), 'bad', bad)
  assert.equal(v1(`PROXY UNKNOWN ${'x'.repeat(200)}\r\n`), 'bad')
  assert.equal(v1('PROXY TCP4 198.51.100.7 192.0.2.1 1 2\n'), 'lacking')
})

test('version 2 tells who called, passes over what it does not know, and is taken whole', () => {
  assert.deepEqual(v2('21 11 000c c6336407 c0000201 c738 01bb'), { length: 28, addresses: { source: { address: '198.51.100.7', port: 51000 }, destination: { address: '192.0.2.1', port: 443 } } })
  assert.deepEqual(v2('21 11 0010 c6336407 c0000201 c738 01bb 04 0001 ff'), { length: 32, addresses: { source: { address: '198.51.100.7', port: 51000 }, destination: { address: '192.0.2.1', port: 443 } } })
  assert.deepEqual(v2('21 21 0024 20010db8000000000000000000000001 00000000000000000000ffff0a000001 0001 0002'), { length: 52, addresses: { source: { address: '2001:db8::1', port: 1 }, destination: { address: '10.0.0.1', port: 2 } } })
  assert.deepEqual(v2('20 00 0000'), { length: 16, addresses: undefined })
  assert.deepEqual(v2('20 ff 0003 aabbcc'), { length: 19, addresses: undefined })
  assert.deepEqual(v2('21 00 0000'), { length: 16, addresses: undefined })
  assert.equal(v2('21 11 000b c6336407 c0000201 c738 01'), 'bad')
  assert.equal(v2('21 12 000c c6336407 c0000201 c738 01bb'), 'bad', 'UDP')
  assert.equal(v2('11 11 000c c6336407 c0000201 c738 01bb'), 'bad', 'version 1 in the form of 2')
  assert.equal(v2('22 11 000c c6336407 c0000201 c738 01bb'), 'bad', 'an unknown command')
  assert.equal(v2('21 11 000c c6336407'), 'lacking')
})

test('a version that is not taken is no header', () => {
  assert.equal(readProxyHeader(writeProxyHeader(2, undefined), [1]), 'none')
  assert.equal(readProxyHeader(writeProxyHeader(1, undefined), [2]), 'none')
  assert.equal(v1('GET / HTTP/1.1\r\n'), 'none')
  assert.equal(v1('\x16\x03\x01'), 'none')
})

const address = fc.oneof(
  fc.tuple(fc.ipV4(), fc.ipV4()),
  fc.tuple(fc.ipV6(), fc.ipV6()).map(([a, b]): [string, string] => [new URL(`http://[${a}]`).hostname.slice(1, -1), new URL(`http://[${b}]`).hostname.slice(1, -1)]).filter((both) => both.every((one) => !one.startsWith('::ffff:'))),
)

test('what is written is read again, whatever the cuts', () => {
  fc.assert(
    fc.property(fc.constantFrom<1 | 2>(1, 2), address, fc.nat(65_535), fc.nat(65_535), fc.uint8Array({ maxLength: 40 }), (version, [source, destination], from, to, rest) => {
      const addresses = { source: { address: source, port: from }, destination: { address: destination, port: to } }
      const header = writeProxyHeader(version, addresses)
      for (let cut = 0; cut < header.length; cut++) assert.equal(readProxyHeader(header.subarray(0, cut), BOTH), 'lacking')
      assert.deepEqual(readProxyHeader(Buffer.concat([header, rest]), BOTH), { length: header.length, addresses })
    }),
    { numRuns: 300 },
  )
})

test('no bytes crash the reader, and nothing is waited for without end', () => {
  const start = fc.constantFrom(Buffer.from('PROXY TCP4 '), Buffer.from('PROXY '), Buffer.from(`${signature}2111`, 'hex'), Buffer.from(`${signature}21`, 'hex'), Buffer.from(signature, 'hex'), Buffer.alloc(0))
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 300 }), (first, more) => {
      const bytes = Buffer.concat([first, more])
      const header = readProxyHeader(bytes, BOTH)
      if (typeof header === 'string') return
      assert.ok(header.length <= bytes.length)
      if (header.addresses !== undefined) for (const end of [header.addresses.source, header.addresses.destination]) assert.ok(isAddress(end.address) && end.port >= 0 && end.port <= 65_535)
    }),
    { numRuns: 3000 },
  )
  for (const first of ['PROXY ', `${Buffer.from(`${signature}2111ffff`, 'hex').toString('latin1')}`]) assert.notEqual(readProxyHeader(Buffer.from(first.padEnd(PROXY_HEADER_BYTES_MAX, 'a'), 'latin1'), BOTH), 'lacking')
})
