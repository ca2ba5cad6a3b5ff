import assert from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import { systemDoors } from '#core/time/system.ts'
import { CLUSTER } from '#core/wire/type-url.ts'
import { type DeltaStream, nodeNamed, RawClient } from '#api/serve/raw-client.ts'
import { certified, clientOf } from '../parts/certified.ts'
import { type PlaneUnderTest, startPlane } from '../parts/control-plane.ts'
import { LeapingClock } from '../parts/leaping-clock.ts'
import { Relay } from '../peers/relay.ts'

// A whole control plane on its TLS port, with proxies that have shown their certificates, and what stands between falling silent in each way there is.

const clock = new LeapingClock()
let world: PlaneUnderTest
before(async () => {
  world = await startPlane({ doors: { ...systemDoors, clock } })
  await world.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } })
})
after(() => world.close())

const node = (name: string) => nodeNamed(`sidecar~127.0.0.1~${name}.prod~prod.svc.cluster.local`, { NAMESPACE: 'prod', WEFT_OUTBOUND: '127.0.0.1:15001' })
const service = (name: string, labels: Readonly<Record<string, string>> = {}) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'prod', labels }, spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] } })

/** A proxy with its certificate, whose stream stands; `through` a relay. */
async function proxy(t: TestContext, name: string, through?: Relay): Promise<DeltaStream> {
  const held = await certified(world, { token: await world.plane.createJoinToken(world.mesh, 'prod', name, 36_000_000) })
  const client = new RawClient(through?.address ?? `127.0.0.1:${world.plane.xds.port}`, clientOf(world, held))
  t.after(() => client.close())
  const stream = client.delta()
  stream.ask({ node: node(name), type: CLUSTER })
  await stream.take()
  return stream
}

const isThere = (name: string): boolean => world.plane.proxies(world.mesh.id).some((one) => one.node.name === name)

let changes = 0
const leapMs = 2500

/**
 * Lets time pass and changes the mesh now and then, until somebody is gone or `seconds` are over; a healthy proxy has each change before time goes on. Answers how many seconds it took.
 * Leaps are short: a look at a peer that comes late counts for nothing, and on a slow machine a change takes its time too.
 */
async function minutesPass(well: DeltaStream, name: string, seconds: number): Promise<number> {
  for (let leap = 0; leap * leapMs < seconds * 1000; leap += 1) {
    if (leap % 8 === 0) {
      const changed = `changed-${(changes += 1)}`
      await world.apply(service(changed))
      while (!(await well.take()).resources.some((one) => one.name.includes(changed)));
    }
    clock.leap(leapMs)
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
    if (!isThere(name)) return ((leap + 1) * leapMs) / 1000
  }
  return Infinity
}

for (const [what, flows] of [
  ['is half open: nothing comes through in either direction', { toServer: 'lost', toClient: 'lost' }],
  ['answers nothing, though it is told all', { toServer: 'lost' }],
  ['stopped reading, and says nothing more', { toServer: 'held', toClient: 'held' }],
  ['stopped reading, so that what it is told stays here', { toClient: 'held' }],
] as const) {
  test(`over TLS, a link that ${what}: its stream is over within minutes, and meanwhile others have each change`, async (t) => {
    const name = `silent-${(changes += 1)}`
    const relay = await Relay.start(world.plane.xds.port)
    t.after(() => relay.close())
    const [well, silent] = [await proxy(t, `well-${name}`), await proxy(t, name, relay)]
    assert.ok(isThere(name))
    relay.set(flows)
    // It is asked once a minute and has two to answer, or six where it may have much to read.
    const seconds = await minutesPass(well, name, 900)
    t.diagnostic(`gone after ${seconds} s`)
    assert.notEqual(seconds, Infinity)
    assert.ok(isThere(`well-${name}`))
    relay.set({})
    relay.cut()
    await silent.status()
    // Back, it has what it missed.
    const again = await proxy(t, name, relay)
    assert.ok(again.received[0]?.resources.some((one) => one.name.includes(`changed-${changes}`)))
  })
}

test('over TLS, a proxy that reads slowly keeps its stream as long as it reads at all', async (t) => {
  const relay = await Relay.start(world.plane.xds.port)
  t.after(() => relay.close())
  const [well, slow] = [await proxy(t, 'well-beside-slow'), await proxy(t, 'slow', relay)]
  // Of every two minutes it reads in one moment.
  for (let round = 0; round < 6; round += 1) {
    relay.set({ toClient: 'held' })
    assert.equal(await minutesPass(well, 'slow', 100), Infinity)
    relay.set({})
    const changed = `changed-${changes}`
    while (!(await slow.take()).resources.some((one) => one.name.includes(changed)));
  }
})
