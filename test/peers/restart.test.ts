import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { systemDoors } from '#core/time/system.ts'
import { MemoryView } from '#api/serve/memory-view.ts'
import type { Resource } from '#api/serve/resource.ts'
import { startXds, type XdsServer } from '#api/serve/server.ts'
import { ENVOY_VERSIONS } from '#infra/parts/envoy.ts'
import { startLoad } from '../mesh/load.ts'
import { until } from '../mesh/shop.ts'
import { EnvoyProcess } from './envoy-process.ts'
import { cluster, endpoints, listener, routes } from './hand-made.ts'
import { Relay } from './relay.ts'
import { startUpstream } from './upstream.ts'

const nodeId = 'sidecar~127.0.0.1~a.prod~prod.svc.cluster.local'

/** A control plane that comes up with this. */
const startWith = (resources: Iterable<Resource>): Promise<XdsServer> => {
  const view = new MemoryView(resources)
  return startXds(
    {
      ...systemDoors,
      serve: { authenticate: () => Promise.resolve({ organizationId: 'o', meshId: 'm', identity: undefined, how: 'plaintext-loopback', expiresAtMs: Date.UTC(2100, 0) }), viewFor: () => Promise.resolve(view), connected() {}, disconnected() {} },
    },
    { plaintext: { address: '127.0.0.1', port: 0 } },
  )
}

for (const version of ENVOY_VERSIONS) {
  describe(`stock Envoy ${version}`, () => {
    test('rule 14: the control plane goes and comes back with other clusters, endpoints and routes, again and again: nothing stays half-way, and no request fails', async (t) => {
      const [a, b] = [await startUpstream('a'), await startUpstream('b')]
      t.after(() => Promise.all([a.close(), b.close()]))
      // One cluster is another each time, and its endpoints with it; one comes and one goes; one stays, and only its endpoints move.
      const stateOf = (round: number): Resource[] => {
        const here = round % 2 === 0 ? a : b
        return [listener('l', 'r'), cluster('changing', `${1 + (round % 5)}s`), endpoints('changing', here.address), cluster(`new-${round}`), endpoints(`new-${round}`, here.address), cluster('staying'), endpoints('staying', here.address), routes('r', { changing: 1, [`new-${round}`]: 1, staying: 1 })]
      }
      let server = await startWith(stateOf(0))
      t.after(() => server.close(0))
      const relay = await Relay.start(server.port)
      t.after(() => relay.close())
      const envoy = await EnvoyProcess.start({ version, xds: relay.address, nodeId })
      t.after(() => envoy.stop())
      const at = await envoy.listening('l')
      await envoy.ready()
      const load = startLoad(at, { host: 'any', path: '/' }, 200)
      for (let round = 1; round <= 6; round += 1) {
        const before = server
        server = await startWith(stateOf(round))
        relay.port = server.port
        // Gone with a word, and cut.
        if (round % 2 === 0) await before.close(50)
        else relay.cut()
        await until('all of it is acknowledged', () => [...server.ledger.streamsOf('m')].some((stream) => !stream.isStarting && stream.unackedSince === undefined && stream.status().types.length >= 4))
        const here = round % 2 === 0 ? a : b
        await until('each cluster is live with its endpoints, and none is warming', async () => {
          const live = await envoy.get('/clusters')
          return ['changing', `new-${round}`, 'staying'].every((name) => live.includes(`${name}::${here.address}::health_flags::healthy`)) && !live.includes(`new-${round - 1}::`) && (await envoy.stat('cluster_manager.warming_clusters')) === 0
        })
        await before.close(0)
        const sent = load.sent()
        await until('requests go on', () => load.sent() > sent + 20)
      }
      const { failed, sent } = await load.stop()
      t.diagnostic(`${sent} requests, ${failed.length} failed`)
      assert.deepEqual(failed, [])
      assert.deepEqual(server.ledger.statuses('m').flatMap((one) => one.types).filter((type) => type.rejection), [])
    })
  })
}
