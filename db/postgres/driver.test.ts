import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test } from 'node:test'
import { seededDoors } from '#core/time/seeded.ts'
import { startPostgres } from '../../test/parts/postgres.ts'
import { openPostgres } from './driver.ts'

test('a database that says nothing any more fails what waits for it, and another connection serves what comes then', async (t) => {
  const postgres = await startPostgres()
  t.after(() => postgres.stop())
  const link = await linkTo(Number(new URL(postgres.url).port))
  t.after(() => link.close())
  const doors = seededDoors(1)
  const driver = openPostgres(postgres.url.replace(/:\d+\//, `:${link.port}/`), doors)
  t.after(() => driver.close())
  const one = { text: 'select 1 as one', params: [], rows: 'object' } as const
  const batch = async (): Promise<unknown> => (await driver.batch('begin', [one]))[0]
  const transaction = (): Promise<unknown> => driver.transaction('begin', (query) => query(one.text, one.params, one.rows))
  for (const ask of [batch, transaction]) {
    link.speak()
    assert.deepEqual(await ask(), [{ one: 1 }])
    link.silence()
    const failed = assert.rejects(ask(), { name: 'DriverError', sqlState: undefined })
    await link.heard()
    doors.clock.advance(40_000)
    await failed
  }
  link.speak()
  assert.deepEqual(await batch(), [{ one: 1 }])
})

/** A way to a port that can swallow all that goes along it, with no end and no reset. */
async function linkTo(port: number) {
  const sockets = new Set<Socket>()
  let silent = false
  let swallowed = (): void => {}
  let heard = new Promise<void>(() => {})
  const server = createServer((from) => {
    const to = connect(port, '127.0.0.1')
    for (const [one, other] of [[from, to], [to, from]] as const) {
      sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => other.destroy())
      one.on('data', (bytes) => (silent ? swallowed() : other.write(bytes)))
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    silence() {
      silent = true
      heard = new Promise((resolve) => (swallowed = resolve))
    },
    speak() {
      silent = false
    },
    heard: () => heard,
    close() {
      server.close()
      for (const one of sockets) one.destroy()
    },
  }
}
