import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonValue } from '@bufbuild/protobuf'
import { send } from '../mesh/shop.ts'
import { ENVOY_VERSIONS } from '#infra/parts/envoy.ts'
import { httpListener, staticCluster, startTwins } from './twins.ts'
import { startUpstream } from './upstream.ts'

/** Which upstreams a hundred keys come to, by engine; Envoy and Weft must agree key for key, or a mesh of both loses its sessions. */
const BALANCERS: Readonly<Record<string, { readonly [field: string]: JsonValue }>> = {
  ring: { lb_policy: 'RING_HASH' },
  'small ring': { lb_policy: 'RING_HASH', ring_hash_lb_config: { minimum_ring_size: 7, maximum_ring_size: 64 } },
  'murmur ring': { lb_policy: 'RING_HASH', ring_hash_lb_config: { hash_function: 'MURMUR_HASH_2' } },
  maglev: { lb_policy: 'MAGLEV' },
  'small maglev': { lb_policy: 'MAGLEV', maglev_lb_config: { table_size: 251 } },
}

const POLICIES: Readonly<Record<string, JsonValue>> = {
  header: [{ header: { header_name: 'x-user' } }],
  'header and query': [{ header: { header_name: 'x-user' } }, { query_parameter: { name: 'u' } }],
  cookie: [{ cookie: { name: 'session' } }],
  address: [{ connection_properties: { source_ip: true } }],
}

for (const version of ENVOY_VERSIONS) {
  test(`Weft and Envoy ${version} send one key to the same endpoint`, async (t) => {
    const upstreams = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => startUpstream(name)))
    t.after(() => Promise.all(upstreams.map((one) => one.close())))
    const weights = [1, 3, 1, 2, 1]
    const ports = upstreams.map((one, at) => ({ port: Number(one.address.split(':')[1]), weight: weights[at] ?? 1 }))
    const clusters = Object.entries(BALANCERS).map(([name, over]) => staticCluster(name, ports, over))
    const routes = Object.keys(BALANCERS).flatMap((balancer) =>
      Object.entries(POLICIES).map(([policy, hash]) => ({ match: { prefix: `/${balancer}/${policy}`.replaceAll(' ', '-') }, route: { cluster: balancer, hash_policy: hash } })),
    )
    const { envoy, weft } = await startTwins(t, { listeners: [httpListener('main', [{ name: 'all', domains: ['*'], routes }])], clusters }, version)
    for (const balancer of Object.keys(BALANCERS)) {
      for (const policy of Object.keys(POLICIES)) {
        const chosen = new Set<string>()
        for (let key = 0; key < 40; key++) {
          const path = `/${balancer}/${policy}?u=q${key}`.replaceAll(' ', '-')
          const request = { host: 'any', path, headers: { 'x-user': `user-${key}`, cookie: `other=1; session="s${key * 7}"` } }
          const [theirs, ours] = await Promise.all([envoy, weft].map((engine) => send(`127.0.0.1:${engine.port('main')}`, request)))
          assert.equal(ours?.body, theirs?.body, `${balancer}, ${policy}, key ${key}`)
          chosen.add(ours?.body ?? '')
        }
        assert.ok(policy === 'address' ? chosen.size === 1 : chosen.size > 2, `${balancer}, ${policy}: ${[...chosen].join()}`)
      }
    }
  })
}
