import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { systemDoors } from '#core/time/system.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, LISTENER, ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import { MemoryView } from '#api/serve/memory-view.ts'
import { nodeNamed, RawClient } from '#api/serve/raw-client.ts'
import { startXds } from '#api/serve/server.ts'
import { ENVOY_VERSIONS } from '#infra/parts/envoy.ts'
import { startLoad } from '../mesh/load.ts'
import { until } from '../mesh/shop.ts'
import { EnvoyProcess } from '../peers/envoy-process.ts'
import { Relay } from '../peers/relay.ts'
import { startUpstream } from '../peers/upstream.ts'
import { pushed } from './pushed.ts'

/** A replica in a process of its own, which pushes without end, clients' way to it, and another that has the newest. */
async function twoReplicas(t: TestContext, pushesEveryMs: number) {
  const [a, b] = [await startUpstream('a'), await startUpstream('b')]
  t.after(() => Promise.all([a.close(), b.close()]))
  const killed = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'test/fault/pushing-replica.ts', a.address, b.address, String(pushesEveryMs)], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => killed.kill('SIGKILL'))
  let said = ''
  killed.stdout.on('data', (text: Buffer) => (said += text.toString()))
  await until('the replica names its port', () => said.includes('\n'))
  const relay = await Relay.start(Number(said.slice(0, said.indexOf('\n'))))
  t.after(() => relay.close())
  const view = new MemoryView(pushed(1_000_003, a.address, b.address))
  const survivor = await startXds(
    {
      ...systemDoors,
      serve: { authenticate: () => Promise.resolve({ organizationId: 'o', meshId: 'm', identity: undefined, how: 'plaintext-loopback', expiresAtMs: Date.UTC(2100, 0) }), viewFor: () => Promise.resolve(view), connected() {}, disconnected() {} },
    },
    { plaintext: { address: '127.0.0.1', port: 0 } },
  )
  t.after(() => survivor.close(0))
  return { killed, said: () => said, relay, view, survivor }
}

for (const version of ENVOY_VERSIONS) {
  test(`a replica is killed while it pushes to Envoy ${version}: no request fails, and the other replica brings it to the newest`, async (t) => {
    const { killed, said, relay, survivor } = await twoReplicas(t, 2)
    const envoy = await EnvoyProcess.start({ version, xds: relay.address, nodeId: 'sidecar~127.0.0.1~a.prod~prod.svc.cluster.local' })
    t.after(() => envoy.stop())
    const at = await envoy.listening('l')
    await envoy.ready()
    const load = startLoad(at, { host: 'any', path: '/' }, 300)
    await until('it is pushing', () => said().split('\n').length > 200)
    const gone = new Promise((resolve) => killed.once('exit', resolve))
    killed.kill('SIGKILL')
    await gone
    const sent = load.sent()
    await until('requests go on without a control plane', () => load.sent() > sent + 50)
    relay.port = survivor.port
    await until('Envoy has all that the other replica has', () => [...survivor.ledger.streamsOf('m')].some((stream) => stream.unackedSince === undefined && !stream.isStarting && stream.status().types.length >= 4))
    const later = load.sent()
    await until('requests go on', () => load.sent() > later + 50)
    assert.deepEqual((await load.stop()).failed, [])
    // What it had already was not sent again, but for endpoints.
    assert.equal(survivor.ledger.statuses('m').flatMap((one) => one.types).filter((type) => type.rejection).length, 0)
  })
}

const streams = 200
const names: Readonly<Record<string, readonly string[]>> = { [CLUSTER]: [], [LISTENER]: [], [CLUSTER_LOAD_ASSIGNMENT]: ['a', 'b'], [ROUTE_CONFIGURATION]: ['r'] }

/** A proxy that comes back with what it holds until it is stopped; what it is sent though it holds it is counted. */
function comesBack(address: string, name: string): { readonly held: ReadonlyMap<string, ReadonlyMap<string, string>>; readonly sentAgain: () => number; stop(): Promise<void> } {
  const held = new Map(Object.keys(names).map((type) => [type, new Map<string, string>()]))
  let again = 0
  const over = new AbortController()
  let client: RawClient | undefined
  const one = async (): Promise<void> => {
    const here = new RawClient(address)
    client = here
    const stream = here.delta()
    try {
      for (const [at, type] of Object.keys(names).entries()) stream.ask({ type, subscribe: [...(names[type] ?? [])], held: Object.fromEntries(held.get(type) ?? []), ...(at === 0 ? { node: nodeNamed(`sidecar~127.0.0.1~${name}.prod~prod.svc.cluster.local`) } : {}) })
      for (;;) {
        const { typeUrl, resources, removedResources } = await stream.take()
        stream.forgetTaken()
        const of = held.get(typeUrl)
        for (const resource of resources) {
          // Endpoints come in full (xds-rules 14).
          if (of?.get(resource.name) === resource.version && typeUrl !== CLUSTER_LOAD_ASSIGNMENT) again += 1
          of?.set(resource.name, resource.version)
        }
        for (const gone of removedResources) of?.delete(gone)
      }
    } catch {
      // It ended; there is another.
    } finally {
      here.close()
    }
  }
  const running = (async () => {
    while (!over.signal.aborted) {
      await one()
      if (!over.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })()
  return {
    held,
    sentAgain: () => again,
    stop() {
      over.abort()
      client?.close()
      return running
    },
  }
}

test(`a replica is killed with ${streams} streams, of which Envoys carry traffic: all of them are back at the other with the newest and nothing that they had, and no request fails`, async (t) => {
  const { killed, relay, view, survivor } = await twoReplicas(t, 200)
  const envoys = await Promise.all(ENVOY_VERSIONS.map((version, at) => EnvoyProcess.start({ version, xds: relay.address, nodeId: `sidecar~127.0.0.1~envoy-${at}.prod~prod.svc.cluster.local` })))
  t.after(() => Promise.all(envoys.map((envoy) => envoy.stop())))
  const proxies = Array.from({ length: streams - envoys.length }, (_, at) => comesBack(relay.address, `raw-${at}`))
  t.after(() => Promise.all(proxies.map((proxy) => proxy.stop())))
  const loads: ReturnType<typeof startLoad>[] = []
  for (const envoy of envoys) {
    const at = await envoy.listening('l')
    await envoy.ready()
    loads.push(startLoad(at, { host: 'any', path: '/' }, 50))
  }
  await until('all have their configuration', () => proxies.every(({ held }) => [...held.values()].every((of) => of.size > 0)))
  const gone = new Promise((resolve) => killed.once('exit', resolve))
  killed.kill('SIGKILL')
  await gone
  const sent = loads.map((load) => load.sent())
  await until('requests go on without a control plane', () => loads.every((load, at) => load.sent() > (sent[at] ?? 0) + 20))
  const before = proxies.map((proxy) => proxy.sentAgain())
  relay.port = survivor.port
  await until('all are at the other replica, and have all that it has', () => {
    const here = [...survivor.ledger.streamsOf('m')]
    return here.length === streams && here.every((stream) => !stream.isStarting && stream.unackedSince === undefined && stream.status().types.length >= 4)
  })
  const later = loads.map((load) => load.sent())
  await until('requests go on', () => loads.every((load, at) => load.sent() > (later[at] ?? 0) + 20))
  for (const load of loads) assert.deepEqual((await load.stop()).failed, [])
  // Who is late by half a minute is sent all of it once more.
  if (survivor.counts.resyncs === 0) assert.deepEqual(proxies.map((proxy) => proxy.sentAgain()), before)
  for (const { held } of proxies) {
    for (const [type, of] of held) assert.deepEqual([...of].sort(), view.all().filter((one) => one.type === type).map((one) => [one.name, one.version]).sort())
  }
})
