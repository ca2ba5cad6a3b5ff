import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NodeStates } from '#api/serve/node-states.ts'
import { startConformance } from '#api/serve/conformance.ts'
import { systemDoors } from '#core/time/system.ts'
import { CLUSTER, VIRTUAL_HOST } from '#core/wire/type-url.ts'
import { ENVOY_NEWEST, ENVOY_VERSIONS } from '#infra/parts/envoy.ts'
import { send, until } from '../mesh/shop.ts'
import { EnvoyProcess } from './envoy-process.ts'
import { anyClusterListener, cluster, endpoints, onDemandListener, onDemandRoutes, virtualHost } from './hand-made.ts'
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

    // Over a stream of its own Envoy 1.36 takes the answer for the first name that it asks for, and for no other (envoy#46561).
    for (const over of version === ENVOY_NEWEST ? (['own-stream', 'ads'] as const) : (['ads'] as const)) {
      test(`a cluster is fetched by the first request for it, over ${over}; one that nobody has fails that request at once, and what comes, changes and goes later is taken`, async (t) => {
        const [a, b] = [await startUpstream('a'), await startUpstream('b')]
        const states = new NodeStates()
        const server = await startConformance(systemDoors, states, { address: '127.0.0.1', port: 0 })
        states.set(nodeId, '', [anyClusterListener('l', over), cluster('a'), endpoints('a', a.address), cluster('unused'), endpoints('unused', a.address), endpoints('b', b.address)])
        const envoy = await EnvoyProcess.start({ version, xds: `127.0.0.1:${server.port}`, nodeId, clustersOnDemand: true })
        t.after(async () => {
          await envoy.stop()
          await server.close(0)
          await Promise.all([a.close(), b.close()])
        })
        const at = await envoy.listening('l')
        await envoy.ready()
        const held = (): string[] => [...server.ledger.streams()].flatMap((stream) => [...stream.sent()]).filter((one) => one.type === CLUSTER && one.version !== 'absent').map((one) => one.name).sort()
        const ask = (name: string) => send(at, { host: 'any', path: '/', headers: { 'x-cluster': name } })
        assert.deepEqual(held(), [], 'nothing is sent before it is needed')
        assert.equal((await ask('a')).body, 'a')
        assert.deepEqual(held(), ['a'])
        // Envoy would wait five minutes for an answer.
        assert.equal((await ask('b')).status, 503)
        states.put(nodeId, cluster('b'), '')
        await until('the cluster that was missing is served', async () => (await ask('b')).body === 'b')
        // Envoy asks for no endpoints that it has, though a cluster that changed waits for some: beside its cluster they come unasked, and over another stream they cannot.
        if (over === 'ads') states.put(nodeId, cluster('a', '3s'), '')
        states.put(nodeId, endpoints('a', b.address), '')
        await until('a cluster that changed is served as it is now', async () => (await ask('a')).body === 'b')
        await until('all is acknowledged', async () => [...server.ledger.streams()].every((stream) => stream.unackedSince === undefined) && (await envoy.stat('cluster_manager.warming_clusters')) === 0)
        states.remove(nodeId, CLUSTER, 'a')
        // Envoy asks for a name once, and takes what comes of it unasked from then on: it is told, and told again.
        await until('a cluster that is gone is there no more', async () => !(await envoy.get('/clusters')).includes('a::'))
        assert.equal((await ask('b')).body, 'b')
        states.put(nodeId, cluster('a'), '')
        await until('one that is back is served', async () => (await envoy.get('/clusters')).includes(`a::${b.address}`) && (await ask('a')).body === 'b')
        assert.deepEqual(held(), ['a', 'b'], 'what nobody needs was never sent')
      })
    }
  })
}
