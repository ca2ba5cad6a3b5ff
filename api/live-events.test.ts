import assert from 'node:assert/strict'
import http from 'node:http'
import { once } from 'node:events'
import { test } from 'node:test'
import { SteppedClock } from '#core/time/seeded.ts'
import type { Topology } from '#core/contract/topology.ts'
import { openApi, serveApp } from '#test/parts/api.ts'
import { httpApp } from './http-app.ts'
import { LiveEvents } from './live-events.ts'
import type { MeshEvent } from './rest/doors.ts'

const picture = (revision: number, padding = ''): Topology => ({ atMs: 0, windowMs: 10_000, revision, nodes: padding === '' ? [] : [{ id: padding, kind: 'service', name: 'big', namespace: '', versions: [], requestsPerSecond: 0, errorShare: 0, p50Ms: null, p99Ms: null }], edges: [] })
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('a stream has a sign of life every ten seconds, even when no picture can be made', async () => {
  const clock = new SteppedClock()
  const failures: unknown[] = []
  const events = new LiveEvents(clock, { topology: () => Promise.reject(new Error('the database is away')), proxies: () => [] }, (error) => failures.push(error))
  const heard: string[] = []
  const stop = events.follow('mesh', (event) => heard.push(event.event))
  for (let second = 0; second < 20; second += 1) {
    clock.advance(1000)
    await settled()
  }
  assert.equal(heard.filter((event) => event === 'heartbeat').length, 2)
  assert.equal(failures.length >= 20, true)
  stop()
  clock.advance(60_000)
  await settled()
  assert.equal(heard.filter((event) => event === 'heartbeat').length, 2)
})

test('one picture a second is made for all who watch, and no second one while it takes long', async () => {
  const clock = new SteppedClock()
  let made = 0
  let finish: (picture: Topology) => void = () => {}
  const events = new LiveEvents(clock, { topology: () => ((made += 1), new Promise((resolve) => (finish = resolve))), proxies: () => [] }, (error) => assert.fail(String(error)))
  const heard = Array.from({ length: 50 }, (): MeshEvent[] => [])
  for (const one of heard) events.follow('mesh', (event) => one.push(event))
  clock.advance(5000)
  assert.equal(made, 1)
  finish(picture(1))
  await settled()
  clock.advance(1000)
  assert.equal(made, 2)
  const pictures = new Set(heard.map((one) => one.find((event) => event.event === 'topology')))
  assert.equal(pictures.size, 1)
  events.close()
})

test('a reader that does not read is given fewer pictures and never old ones, and holds up nobody', async (t) => {
  const listeners = new Set<(event: MeshEvent) => void>()
  const api = await openApi({
    follow(_mesh, listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  })
  const server = await serveApp(httpApp(api.doors, undefined))
  t.after(async () => {
    await server.close()
    await api.close()
  })
  const options = { headers: { authorization: `Bearer ${await api.key('viewer')}` } }
  const url = `${server.url}/api/v1/organizations/demo/meshes/shop/events`
  const [slow, quick] = await Promise.all([url, url].map(async (to) => (await once(http.get(to, options), 'response'))[0] as http.IncomingMessage))
  assert.ok(slow && quick)
  slow.pause()
  let quickBytes = 0
  let last = ''
  quick.on('data', (chunk: Buffer) => {
    quickBytes += chunk.length
    last = (last + chunk.toString()).slice(-400)
  })
  // 400 pictures of 100 KB: more than any socket's buffers hold.
  const padding = 'x'.repeat(100_000)
  for (let revision = 1; revision <= 400; revision += 1) {
    for (const listener of listeners) listener({ event: 'topology', data: picture(revision, padding) })
    await settled()
  }
  const enough = (): boolean => quickBytes >= 5_000_000
  while (!enough()) await once(quick, 'data')
  assert.equal(listeners.size, 2, 'the slow one is still there')
  for (const listener of listeners) listener({ event: 'revision', data: { revision: 401 } })
  let slowBytes = 0
  let seen = ''
  for await (const chunk of slow) {
    slowBytes += (chunk as Buffer).length
    seen = (seen + String(chunk)).slice(-200)
    if (seen.includes('"revision":401')) break
  }
  assert.ok(slowBytes < 20_000_000, `${slowBytes} bytes were kept for a reader that did not read`)
  slow.destroy()
  quick.destroy()
  while (listeners.size > 0) await settled()
})
