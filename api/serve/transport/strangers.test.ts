import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2'
import { test, type TestContext } from 'node:test'
import { status } from '@grpc/grpc-js'
import { SteppedClock } from '#core/time/seeded.ts'
import { systemDoors } from '#core/time/system.ts'
import { GrpcServer } from './grpc-server.ts'
import type { GrpcMethod } from './method.ts'

const methods: readonly GrpcMethod[] = [
  { path: '/test/Refused', open: (call) => call.fail(status.UNAUTHENTICATED, 'who are you?') },
  { path: '/test/Silent', open: (call) => call.onMessage(() => {}) },
  { path: '/test/Answered', open: (call) => void call.write(Buffer.from('hello')) },
  { path: '/test/Known', open: (call) => call.welcome() },
]

/** Whether a client's connection is gone; it answers PINGs for as long as it is there. */
interface Guest {
  readonly session: ClientHttp2Session
  isGone: boolean
  ask(method: string): ClientHttp2Stream
}

async function world(t: TestContext, strangersMax?: number) {
  const clock = new SteppedClock()
  const server = new GrpcServer({ clock, sockets: systemDoors.clock, methods, trust: undefined, callsMax: 10, requestBytesMax: 1 << 20, ...(strangersMax === undefined ? {} : { strangersMax }) })
  const port = await server.listen({ address: '127.0.0.1', port: 0 })
  t.after(() => server.cut())
  const guest = async (): Promise<Guest> => {
    const session = connect(`http://127.0.0.1:${port}`)
    t.after(() => session.destroy())
    const made: Guest = {
      session,
      isGone: false,
      ask: (method) => {
        const stream = session.request({ ':method': 'POST', ':path': `/test/${method}`, 'content-type': 'application/grpc', te: 'trailers' })
        stream.on('error', () => {}).resume()
        return stream
      },
    }
    session.on('error', () => {}).on('close', () => (made.isGone = true))
    // What the server says first, it says when it has taken the connection in.
    await once(session, 'remoteSettings')
    return made
  }
  /** Lets time pass, look by look, with PINGs between, until these are gone. */
  const pass = async (...guests: readonly Guest[]): Promise<void> => {
    while (guests.some((one) => !one.isGone)) {
      for (const { session } of guests) if (!session.destroyed && !session.closed) session.ping(() => {})
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      clock.advance(5000)
    }
  }
  return { guest, pass, clock }
}

test('a connection whose callers were all refused, or never answered, is over though it answers PINGs; one with a known caller is not, until that leaves', async (t) => {
  const { guest, pass, clock } = await world(t)
  const [refused, silent, none, known, answered] = [await guest(), await guest(), await guest(), await guest(), await guest()]
  await once(refused.ask('Refused').end(), 'close')
  silent.ask('Silent')
  const stays = known.ask('Known')
  const hello = answered.ask('Answered')
  await once(hello, 'response')
  await new Promise((resolve) => known.session.ping(resolve))
  await pass(refused, silent, none)
  for (let minute = 0; minute < 10; minute += 1) {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
    clock.advance(60_000)
  }
  // Whoever is cut hears of it before the answer to a PING that follows.
  for (const one of [known, answered]) await new Promise((resolve) => one.session.ping(resolve))
  assert.deepEqual([known.isGone, answered.isGone], [false, false])
  stays.close()
  hello.close()
  await pass(known, answered)
})

test('of too many strangers the first goes, and nobody who is known', async (t) => {
  const { guest } = await world(t, 3)
  const known = await guest()
  await once(known.ask('Answered'), 'response')
  const strangers = [await guest(), await guest(), await guest()]
  const [first, second] = strangers
  assert.ok(first && second)
  const gone = once(first.session, 'close')
  await guest()
  await gone
  for (const one of [known, second]) await new Promise((resolve) => one.session.ping(resolve))
  assert.deepEqual([known.isGone, second.isGone], [false, false])
})
