import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NodeStates } from '#api/serve/node-states.ts'
import { startConformance } from '#api/serve/conformance.ts'
import { systemDoors } from '#core/time/system.ts'
import { VIRTUAL_HOST } from '#core/wire/type-url.ts'
import { ENVOY_VERSIONS } from '#infra/parts/envoy.ts'
import { send, until } from '../mesh/shop.ts'
import { EnvoyProcess } from './envoy-process.ts'
import { cluster, endpoints, onDemandListener, onDemandRoutes, virtualHost } from './hand-made.ts'
import { startUpstream } from './upstream.ts'

const nodeId = 'sidecar~127.0.0.1~a.prod~prod.svc.cluster.local'

for (const version of ENVOY_VERSIONS) {
  describe(`stock Envoy ${version}, on demand`, () => {
    test('a virtual host is fetched by the first request for it, one that nobody has is a 404 and no wait, and what comes and changes later is taken', async (t) => {
      const [a, b] = [await startUpstream('a'), await startUpstream('b')]
      const states = new NodeStates()
      const server = await startConformance(systemDoors, states, { address: '127.0.0.1', port: 0 })
      states.set(nodeId, '', [onDemandListener('l', 'r'), cluster('a'), cluster('b'), endpoints('a', a.address), endpoints('b', b.address), onDemandRoutes('r'), virtualHost('r', 'a.example', 'a')])
      const envoy = await EnvoyProcess.start({ version, xds: `127.0.0.1:${server.port}`, nodeId })
      t.after(async () => {
        await envoy.stop()
        await server.close(0)
        await Promise.all([a.close(), b.close()])
      })
      const at = await envoy.listening('l')
      await envoy.ready()
      const held = (): string[] => [...server.ledger.streams()].flatMap((stream) => [...stream.sent()]).filter((one) => one.type === VIRTUAL_HOST && one.version !== 'absent').map((one) => one.name)
      assert.deepEqual(held(), [], 'nothing is sent before it is needed')
      assert.equal((await send(at, { host: 'a.example', path: '/' })).body, 'a')
      assert.deepEqual(held(), ['r/a.example'])
      assert.equal((await send(at, { host: 'b.example', path: '/' })).status, 404)
      states.put(nodeId, virtualHost('r', 'b.example', 'b'), '')
      await until('the host that was missing is served', async () => (await send(at, { host: 'b.example', path: '/' })).body === 'b')
      states.put(nodeId, virtualHost('r', 'a.example', 'b'), '')
      await until('a host that changed is served as it is now', async () => (await send(at, { host: 'a.example', path: '/' })).body === 'b')
    })
  })
}
