import assert from 'node:assert/strict'
import { test } from 'node:test'
import net from 'node:net'
import tls from 'node:tls'
import * as fc from 'fast-check'
import { sniff } from './sniff.ts'

/** The bytes that a real client opens with. */
async function clientHello(options: tls.ConnectionOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) =>
      socket.once('data', (bytes: Buffer) => {
        socket.destroy()
        server.close()
        resolve(bytes)
      }),
    )
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo
      const client = tls.connect({ ...options, port, host: '127.0.0.1' })
      client.on('error', () => client.destroy())
    })
    server.on('error', reject)
  })
}

test('SNI and ALPN are read from a ClientHello, however it is cut', async () => {
  const hello = await clientHello({ servername: 'Outbound.example', ALPNProtocols: ['istio', 'h2'] })
  assert.deepEqual(sniff(hello), { transportProtocol: 'tls', serverName: 'outbound.example', applicationProtocols: ['istio', 'h2'] })
  for (let cut = 1; cut < hello.length; cut += 7) assert.equal(sniff(hello.subarray(0, cut)), undefined)
})

test('HTTP is told from other plaintext', () => {
  const line = Buffer.from('GET /a?b HTTP/1.1\r\n')
  assert.deepEqual(sniff(line)?.applicationProtocols, ['http/1.1'])
  for (let cut = 1; cut < line.length; cut++) assert.equal(sniff(line.subarray(0, cut)), undefined, line.toString('latin1', 0, cut))
  assert.deepEqual(sniff(Buffer.from('M-SEARCH * HTTP/1.0\n'))?.applicationProtocols, ['http/1.0'])
  assert.deepEqual(sniff(Buffer.from(`GET /${'a'.repeat(9000)}`))?.applicationProtocols, ['http/1.1'])
  for (const other of ['SET key value\r\n', 'EHLO mail.example\r\n', 'PING\r\n', 'GET / HTTP/2', 'get / HTTP/1.1\r\n', 'HELLO WORLD, SAID IT']) assert.deepEqual(sniff(Buffer.from(other))?.applicationProtocols, [], other)
  assert.deepEqual(sniff(Buffer.from('PRI * HTTP/2.0\r\n'))?.applicationProtocols, ['h2c'])
  assert.equal(sniff(Buffer.from('GE')), undefined)
  assert.deepEqual(sniff(Buffer.from('\0\x01binary'))?.transportProtocol, 'raw_buffer')
})

test('garbage never throws', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => void sniff(Buffer.concat([Buffer.from([0x16, 3, 1, 0, 200, 1, 0, 0, 196]), Buffer.from(bytes)]))), { numRuns: 1000 })
})
