import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import { systemDoors } from '#core/time/system.ts'
import { MemoryView } from '#api/serve/memory-view.ts'
import { startXds } from '#api/serve/server.ts'
import { ENVOY_VERSIONS } from '#infra/parts/envoy.ts'
import { startLoad } from '../mesh/load.ts'
import { until } from '../mesh/shop.ts'
import { EnvoyProcess } from '../peers/envoy-process.ts'
import { Relay } from '../peers/relay.ts'
import { startUpstream } from '../peers/upstream.ts'
import { pushed } from './pushed.ts'

for (const version of ENVOY_VERSIONS) {
  test(`a replica is killed while it pushes to Envoy ${version}: no request fails, and the other replica brings it to the newest`, async (t) => {
    const [a, b] = [await startUpstream('a'), await startUpstream('b')]
    t.after(() => Promise.all([a.close(), b.close()]))
    const killed = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'test/fault/pushing-replica.ts', a.address, b.address], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.after(() => killed.kill('SIGKILL'))
    let said = ''
    killed.stdout.on('data', (text: Buffer) => (said += text.toString()))
    await until('the replica names its port', () => said.includes('\n'))
    const relay = await Relay.start(Number(said.slice(0, said.indexOf('\n'))))
    t.after(() => relay.close())
    const envoy = await EnvoyProcess.start({ version, xds: relay.address, nodeId: 'sidecar~127.0.0.1~a.prod~prod.svc.cluster.local' })
    t.after(() => envoy.stop())
    const view = new MemoryView(pushed(1_000_003, a.address, b.address))
    const survivor = await startXds(
      {
        ...systemDoors,
        serve: { authenticate: () => Promise.resolve({ organizationId: 'o', meshId: 'm', identity: undefined, how: 'plaintext-loopback', expiresAtMs: Date.UTC(2100, 0) }), viewFor: () => Promise.resolve(view), connected() {}, disconnected() {} },
      },
      { plaintext: { address: '127.0.0.1', port: 0 } },
    )
    t.after(() => survivor.close(0))
    const at = await envoy.listening('l')
    await envoy.ready()
    const load = startLoad(at, { host: 'any', path: '/' }, 300)
    await until('it is pushing', () => said.split('\n').length > 200)
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
