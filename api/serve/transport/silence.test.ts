import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { Clock } from '#core/time/clock.ts'
import { SteppedClock } from '#core/time/seeded.ts'
import { systemDoors } from '#core/time/system.ts'
import { bytesCodec, defineMethod, ads } from '#core/wire/grpc.ts'
import { GrpcServer } from './grpc-server.ts'
import { duplex, type GrpcMethod } from './method.ts'
import { watchSilence } from './silence.ts'

/** A peer on a loop of its own, which holds one stream open and says each message that comes back. */
function livingPeer(port: number): Worker {
  const code = `
    const { connect } = require('node:http2')
    const { parentPort, workerData } = require('node:worker_threads')
    const session = connect('http://127.0.0.1:' + workerData)
    session.on('error', () => {})
    const stream = session.request({ ':method': 'POST', ':path': '/test/Echo', 'content-type': 'application/grpc', te: 'trailers' })
    stream.on('error', () => {})
    stream.on('data', (chunk) => parentPort.postMessage(chunk.length))
    stream.on('close', () => parentPort.postMessage('closed'))
    const say = () => stream.write(Buffer.from([0, 0, 0, 0, 1, 7]))
    parentPort.on('message', say)
    say()
  `
  return new Worker(code, { eval: true, workerData: port })
}

/** A peer that says hello and never a word again. */
async function deadPeer(port: number): Promise<Socket> {
  const socket = createConnection(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.resume()
  socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]))
  await once(socket, 'data')
  return socket
}

/** The system's clock, on which a minute is over sooner. */
function hasty(times: number): Clock {
  const { clock } = systemDoors
  return {
    monotonicMs: () => clock.monotonicMs() * times,
    wallMs: () => clock.wallMs(),
    after: (delayMs, fire) => clock.after(delayMs / times, fire),
    every: (periodMs, fire) => clock.every(periodMs / times, fire),
  }
}

test('a stream outlives turns of our own loop that are longer than a silence may be, and a peer that is gone does not', async (t) => {
  const bytes = bytesCodec<Buffer>()
  const echo = duplex(defineMethod({ ...ads.deltaAggregatedResources, path: '/test/Echo' }, bytes, bytes), (call) => {
    call.onEnd(() => call.end())
    call.onRequest((request) => void call.write(request))
  })
  // Two minutes of silence are half a second here; a first call has all the time.
  const server = new GrpcServer({ clock: new SteppedClock(), sockets: hasty(240), methods: [echo], trust: undefined, callsMax: 10, requestBytesMax: 1 << 20 })
  t.after(() => server.cut())
  const port = await server.listen({ address: '127.0.0.1', port: 0 })
  const peer = livingPeer(port)
  t.after(() => peer.terminate())
  const heard: unknown[] = []
  peer.on('message', (what) => heard.push(what))
  await once(peer, 'message')
  // Each turn follows the one before without a look at the sockets in between: timers come before them.
  const { promise: blocked, resolve } = Promise.withResolvers<void>()
  let turns = 4
  const block = (): void => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700)
    turns -= 1
    if (turns === 0) resolve()
    else setTimeout(block, 1)
  }
  setTimeout(block, 300)
  await blocked
  const dead = await deadPeer(port)
  await once(dead, 'close')
  peer.postMessage('again')
  await once(peer, 'message')
  assert.equal(heard.includes('closed'), false)
})

test('looks that come late count for nothing, those on time do, and a sign of life begins anew', () => {
  const clock = new SteppedClock()
  let lateMs = 0
  let stirred = false
  let over = 0
  const timer = watchSilence({ ...clock, monotonicMs: () => clock.monotonicMs() + lateMs, wallMs: () => 0, after: (ms, fire) => clock.after(ms, fire), every: (ms, fire) => clock.every(ms, fire) }, {
    everyMs: 100,
    looksMax: () => 3,
    hasStirred: () => {
      const was = stirred
      stirred = false
      return was
    },
    over: () => (over += 1),
  })
  for (let turn = 0; turn < 10; turn += 1) {
    lateMs += 1000
    clock.advance(100)
  }
  assert.equal(over, 0)
  clock.advance(200)
  stirred = true
  clock.advance(300)
  assert.equal(over, 0)
  clock.advance(100)
  assert.equal(over, 1)
  clock.advance(1000)
  assert.equal(over, 1)
  timer.cancel()
})

test('a peer that stays silent is gone though messages for it go on', async (t) => {
  const clock = new SteppedClock()
  const { promise: opened, resolve } = Promise.withResolvers<(message: Buffer) => boolean>()
  const told: GrpcMethod = { path: '/test/Told', open: (call) => resolve((message) => call.write(message)) }
  const server = new GrpcServer({ clock: systemDoors.clock, sockets: clock, methods: [told], trust: undefined, callsMax: 10, requestBytesMax: 1 << 20 })
  t.after(() => server.cut())
  const port = await server.listen({ address: '127.0.0.1', port: 0 })
  const socket = await deadPeer(port)
  const literal = (name: string, value: string): Buffer => Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)])
  const block = Buffer.concat([Buffer.from([0x83, 0x86]), literal(':path', told.path), literal('host', 'a'), literal('content-type', 'application/grpc')])
  socket.write(Buffer.concat([Buffer.from([0, 0, block.length, 1, 4, 0, 0, 0, 1]), block]))
  const write = await opened
  const gone = once(socket, 'close')
  // Kept well under its window, so that nothing ever waits here.
  for (let look = 0; look < 12; look += 1) {
    write(Buffer.from('news'))
    for (let turn = 0; turn < 50; turn += 1) await new Promise((done) => setImmediate(done))
    clock.advance(15_000)
  }
  await gone
})

test('a peer that has much to read is given more time, though nothing of it waits here', async (t) => {
  const clock = new SteppedClock()
  const { promise: opened, resolve } = Promise.withResolvers<(message: Buffer) => boolean>()
  let isGone = false
  const told: GrpcMethod = {
    path: '/test/Told',
    open: (call) => {
      call.onCancelled(() => (isGone = true))
      resolve((message) => call.write(message))
    },
  }
  const server = new GrpcServer({ clock: systemDoors.clock, sockets: clock, methods: [told], trust: undefined, callsMax: 10, requestBytesMax: 1 << 20 })
  t.after(() => server.cut())
  const port = await server.listen({ address: '127.0.0.1', port: 0 })
  // Its windows are wide, so all goes to the system, which keeps it for a process that does not run.
  const window = Buffer.from([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0x40, 0, 0, 0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0x40, 0, 0])
  const socket = await deadPeer(port)
  socket.write(window)
  const literal = (name: string, value: string): Buffer => Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)])
  const block = Buffer.concat([Buffer.from([0x83, 0x86]), literal(':path', told.path), literal('host', 'a'), literal('content-type', 'application/grpc')])
  socket.write(Buffer.concat([Buffer.from([0, 0, block.length, 1, 4, 0, 0, 0, 1]), block]))
  const write = await opened
  socket.pause()
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 50; turn += 1) await new Promise((done) => setImmediate(done))
  }
  clock.advance(60_000)
  write(Buffer.alloc(200 << 10))
  await turns()
  for (let look = 0; look < 20; look += 1) {
    clock.advance(15_000)
    await turns()
  }
  assert.equal(isGone, false)
  socket.resume()
  const gone = once(socket, 'close')
  clock.advance(300_000)
  await gone
})
