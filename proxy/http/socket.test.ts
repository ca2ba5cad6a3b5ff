import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { freePort } from '#test/parts/free-port.ts'
import { acceptWire, dialPlain } from './socket.ts'
import type { Wire, WireHandler } from './socket.ts'
import { hasStreamHandles } from './stream-handle.ts'

/** What a wire told. */
class Told implements WireHandler {
  readonly chunks: Buffer[] = []
  length = 0
  ended = false
  closed: string | undefined = undefined
  writable = 0
  #look = (): void => undefined

  onRead(bytes: Buffer, length: number): void {
    this.chunks.push(Buffer.from(bytes.subarray(0, length)))
    this.length += length
    this.#look()
  }

  onReadEnd(): void {
    this.ended = true
    this.#look()
  }

  onWritable(): void {
    this.writable += 1
    this.#look()
  }

  onClosed(error: string): void {
    this.closed = error
    this.#look()
  }

  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#look = () => {
        if (holds()) resolve()
      }
      this.#look()
    })
  }
}

interface Pair {
  readonly wire: Wire
  readonly told: Told
  /** The other end, a socket of Node's. */
  readonly peer: net.Socket
}

async function accepted(t: TestContext): Promise<Pair> {
  const server = net.createServer({ allowHalfOpen: true, noDelay: true })
  t.after(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const peer = net.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
  peer.on('error', () => undefined)
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  const told = new Told()
  t.after(() => {
    peer.destroy()
    socket.destroy()
  })
  return { wire: acceptWire(socket, told), told, peer }
}

async function dialled(t: TestContext): Promise<Pair> {
  return pairOf(t, '127.0.0.1', 0, (port, told, connected) => dialPlain('127.0.0.1', port, told, undefined, connected))
}

/** As `dialled`, at the second of two addresses: nobody listens at the first. */
async function dialledSecond(t: TestContext): Promise<Pair> {
  return pairOf(t, '::1', await freePort(), (port, told, connected) => dialPlain('127.0.0.1', port, told, undefined, connected, ['::1']))
}

async function pairOf(t: TestContext, address: string, port: number, dial: (port: number, told: Told, connected: () => void) => Wire): Promise<Pair> {
  const server = net.createServer({ allowHalfOpen: true, noDelay: true })
  t.after(() => server.close())
  server.listen(port, address)
  await once(server, 'listening')
  const told = new Told()
  const stands = Promise.withResolvers<undefined>()
  const wire = dial((server.address() as net.AddressInfo).port, told, () => stands.resolve(undefined))
  const [peer] = (await once(server, 'connection')) as [net.Socket]
  await stands.promise
  peer.on('error', () => undefined)
  t.after(() => {
    peer.destroy()
    wire.destroy()
  })
  return { wire, told, peer }
}

const CHUNK = Buffer.alloc(60_000, 'weft')
const CHUNKS = 300

for (const [kind, make] of [['accepted', accepted], ['dialled', dialled], ['dialled at a second address', dialledSecond]] as const) {
  test(`a wire that was ${kind} sends texts and bytes whole and in order to a reader that is slow, and tells when they have left`, async (t) => {
    const { wire, told, peer } = await make(t)
    let done = 0
    let sent = ''
    for (let i = 0; i < CHUNKS; i++) {
      wire.put(`<${i}>`)
      wire.putBytes(CHUNK, 0, i % 2 === 0 ? 100 : CHUNK.length)
      wire.flush()
      const kept = Buffer.from(`[${i}]`)
      wire.writeBytes(kept, () => {
        done += 1
        kept.fill('x')
      })
      sent += `<${i}>${CHUNK.toString('latin1', 0, i % 2 === 0 ? 100 : CHUNK.length)}[${i}]`
    }
    assert.ok(wire.congested, 'nobody reads')
    assert.ok(wire.unsentBytes > 0)
    let got = ''
    peer.setEncoding('latin1').on('data', (text: string) => (got += text))
    await told.until(() => told.writable > 0 && wire.unsentBytes === 0)
    assert.equal(wire.congested, false)
    assert.equal(done, CHUNKS)
    wire.end()
    await once(peer, 'end')
    assert.ok(got === sent, `${got.length} bytes of ${sent.length} arrived, or others`)
  })

  test(`a wire that was ${kind} sends at its end what is left, and goes on reading`, async (t) => {
    const { wire, told, peer } = await make(t)
    for (let i = 0; i < CHUNKS; i++) wire.putBytes(CHUNK, 0, CHUNK.length)
    wire.end()
    let got = 0
    peer.on('data', (bytes: Buffer) => (got += bytes.length))
    await once(peer, 'end')
    assert.equal(got, CHUNKS * CHUNK.length)
    peer.write('late')
    await told.until(() => told.length === 4)
    peer.end()
    await told.until(() => told.closed !== undefined)
    assert.ok(told.ended)
    assert.equal(told.closed, '')
  })

  test(`a wire that was ${kind} goes on sending after the peer's end`, async (t) => {
    const { wire, told, peer } = await make(t)
    peer.end('all')
    await told.until(() => told.ended)
    assert.equal(Buffer.concat(told.chunks).toString(), 'all')
    wire.put('answer')
    wire.destroySoon()
    const [bytes] = (await once(peer, 'data')) as [Buffer]
    assert.equal(bytes.toString(), 'answer')
    await told.until(() => told.closed !== undefined)
    assert.equal(told.closed, '')
  })

  test(`a wire that was ${kind} leaves, while paused, bytes to the peer, and none is lost`, async (t) => {
    const { wire, told, peer } = await make(t)
    peer.write('first')
    await told.until(() => told.length === 5)
    wire.pause()
    let full = false
    for (let i = 0; i < CHUNKS; i++) full = !peer.write(CHUNK) || full
    assert.ok(full)
    // A turn of another socket of this process: what could be read would be here.
    await accepted(t)
    assert.ok(told.length < CHUNKS * CHUNK.length)
    wire.resume()
    await told.until(() => told.length === 5 + CHUNKS * CHUNK.length)
  })

  test(`a wire that was ${kind} tells why it broke, and unsent bytes are given back`, async (t) => {
    const { wire, told, peer } = await make(t)
    let done = 0
    for (let i = 0; i < CHUNKS; i++) wire.writeBytes(CHUNK, () => (done += 1))
    peer.resetAndDestroy()
    await told.until(() => told.closed !== undefined)
    assert.match(told.closed ?? '', /^(?:ECONNRESET|EPIPE)$/)
    assert.equal(done, CHUNKS)
    assert.ok(wire.closed)
    wire.put('more')
    wire.flush()
    wire.writeBytes(CHUNK, () => (done += 1))
    assert.equal(done, CHUNKS + 1)
  })
}

test('where Node refuses its internals, wires do the same by the documented API', { skip: !hasStreamHandles && 'this is that run' }, async () => {
  const child = spawn(process.execPath, ['--permission', '--allow-fs-read=*', '--allow-net', '--test-isolation=none', '--test', import.meta.filename], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_TEST_CONTEXT: '' } })
  let out = ''
  child.stdout.on('data', (bytes: Buffer) => (out += bytes.toString()))
  const [code] = (await once(child, 'close')) as [number]
  assert.equal(code, 0, out)
  assert.match(out, /pass 15\b/)
  assert.match(out, /skipped 1\b/)
})
