import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { credentials } from '@grpc/grpc-js'
import { startPlane } from '#test/parts/control-plane.ts'
import type { PlaneUnderTest } from '#test/parts/control-plane.ts'
import { startStore } from '#test/parts/store.ts'
import type { TestStore } from '#test/parts/store.ts'
import { Ledger } from './serve/ledger.ts'
import { ServeCounts } from './serve/counts.ts'
import { nodeNamed, RawClient } from './serve/raw-client.ts'
import { systemDoors } from '#core/time/system.ts'
import { CLUSTER } from '#core/wire/type-url.ts'
import { TurnedAway } from './access/turned-away.ts'
import { monitoringApp } from './monitoring.ts'

let part: TestStore
before(async () => {
  part = await startStore()
})
after(() => part.end())

test('the state of all tenants’ proxies is told on the host itself and to nobody else', async () => {
  const app = monitoringApp(part.store, { ledger: new Ledger(systemDoors.clock), counts: new ServeCounts() })
  const from = (remoteAddress: string | undefined) => ({ incoming: { socket: { remoteAddress, remotePort: 40_000, remoteFamily: 'IPv4' } } })
  for (const address of ['192.0.2.1', '10.0.0.1', '::ffff:192.0.2.1', '2001:db8::1', undefined]) {
    const answer = await app.request('/debug/csds?mesh=any', {}, from(address))
    assert.deepEqual([answer.status, await answer.text()], [403, 'from the host itself only\n'], String(address))
  }
  for (const address of ['127.0.0.1', '127.8.9.10', '::1', '::ffff:127.0.0.1']) assert.equal((await app.request('/debug/csds?mesh=any', {}, from(address))).status, 200, address)
  assert.equal((await app.request('/metrics', {}, from('192.0.2.1'))).status, 200)
})

test('requests that were turned away are counted by API', async () => {
  const turnedAway = new TurnedAway()
  const app = monitoringApp(part.store, { ledger: new Ledger(systemDoors.clock), counts: new ServeCounts() }, turnedAway)
  for (const api of ['rest', 'rest', 'kube'] as const) turnedAway.add(api)
  const metrics = await (await app.request('/metrics')).text()
  assert.match(metrics, /^weft_api_turned_away_total\{api="rest"\} 2$/m)
  assert.match(metrics, /^weft_api_turned_away_total\{api="kube"\} 1$/m)
})

test('on the host itself it is told', async (t) => {
  const plane: PlaneUnderTest = await startPlane()
  t.after(() => plane.close())
  const bearer = await plane.plane.createJoinToken(plane.mesh, 'prod', 'a', 60_000)
  const client = new RawClient(`127.0.0.1:${plane.plane.xds.port}`, credentials.createSsl(Buffer.from(plane.plane.xds.rootCertificate)))
  t.after(() => client.close())
  const stream = client.delta({ bearer })
  stream.ask({ node: nodeNamed('sidecar~127.0.0.1~a.prod~prod.svc.cluster.local', { NAMESPACE: 'prod' }), type: CLUSTER })
  await stream.next()
  const told = await fetch(`http://127.0.0.1:${plane.plane.monitoring.port}/debug/csds?mesh=${plane.mesh.id}`)
  assert.equal(told.status, 200)
  assert.match(await told.text(), /a\.prod/)
})
