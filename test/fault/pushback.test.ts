import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { seededDoors } from '#core/time/seeded.ts'
import { systemDoors } from '#core/time/system.ts'
import { NodeSchema } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { CLUSTER } from '#core/wire/type-url.ts'
import { readNode } from '#core/workload/node-message.ts'
import { MemoryView } from '#api/serve/memory-view.ts'
import { nodeNamed, RawClient } from '#api/serve/raw-client.ts'
import { startXds } from '#api/serve/server.ts'
import { jsonLog } from '#proxy/admin/log.ts'
import { PlanCell } from '#proxy/ads/plan-cell.ts'
import { Ads } from '#proxy/ads/stream.ts'
import { Secrets } from '#proxy/identity/secrets.ts'

test('our own sidecar, sent away by a full replica, comes again when it was told to and not before; and where nobody answers, ever more rarely', async (t) => {
  const serve = {
    authenticate: () => Promise.resolve({ organizationId: 'o', meshId: 'm', identity: undefined, how: 'plaintext-loopback', expiresAtMs: Date.UTC(2100, 0) } as const),
    viewFor: () => Promise.resolve(new MemoryView()),
    connected() {},
    disconnected() {},
  }
  // It holds one stream, and has one.
  const server = await startXds({ ...systemDoors, serve }, { plaintext: { address: '127.0.0.1', port: 0 }, callsMax: 1 })
  const occupant = new RawClient(`127.0.0.1:${server.port}`)
  const occupied = occupant.delta()
  occupied.ask({ node: nodeNamed('occupant'), type: CLUSTER })
  await occupied.next()
  const doors = seededDoors(7)
  const lost: { retryInMs: number; error: string }[] = []
  const waiting = new Set<() => void>()
  const log = jsonLog(doors.clock, (line) => {
    const said = JSON.parse(line) as { event: string; retryInMs: number; error: string }
    if (said.event === 'xds.lost') lost.push(said)
    for (const look of [...waiting]) look()
  })
  const until = (happened: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!happened()) return
        waiting.delete(look)
        resolve()
      }
      waiting.add(look)
      look()
    })
  const node = readNode(create(NodeSchema, { id: 'sidecar~127.0.0.1~a.prod~prod.svc.cluster.local', userAgentName: 'weft' }))
  const ads = new Ads(doors, { controlPlane: { target: `127.0.0.1:${server.port}`, rootsPem: undefined, serverName: undefined }, node, certificate: () => undefined }, new PlanCell(doors.clock, new Secrets(log), log), log)
  t.after(async () => {
    // Its patience with a control plane that does not answer is a timer of a clock that stands still.
    const stopped = ads.stop()
    doors.clock.advance(1000)
    await stopped
    occupant.close()
    await server.close(0)
  })

  ads.start()
  await until(() => lost.length === 1)
  const [first] = lost
  assert.ok(first && first.retryInMs >= 1000 && first.retryInMs <= 5000, `${first?.retryInMs} ms; by itself it would have come after a fifth of a second`)
  assert.match(first.error, /RESOURCE_EXHAUSTED/)
  doors.clock.advance(first.retryInMs - 1)
  assert.equal(ads.counts.connects, 1)
  doors.clock.advance(1)
  await until(() => lost.length === 2)
  assert.equal(ads.counts.connects, 2)
  assert.ok((lost[1]?.retryInMs ?? 0) >= 1000)

  // There is room again, and it is told when it has said that it leaves.
  occupied.end()
  await occupied.status()
  doors.clock.advance(lost[1]?.retryInMs ?? 0)
  await until(() => ads.isConnected)
  assert.deepEqual(server.ledger.statuses('m').map((one) => one.node.name), ['a'])

  // Nobody is there, and nobody says for how long: half to all of a time that doubles, up to ten seconds.
  await server.close(0)
  const shares: number[] = []
  for (let attempt = 0; attempt < 9; attempt += 1) {
    await until(() => lost.length === 3 + attempt)
    const { retryInMs = 0 } = lost.at(-1) ?? {}
    shares.push(retryInMs / Math.min(10_000, 200 * 2 ** attempt))
    doors.clock.advance(retryInMs + 1)
  }
  assert.ok(shares.every((share) => share >= 0.49 && share <= 1.01), shares.join(' '))
})
