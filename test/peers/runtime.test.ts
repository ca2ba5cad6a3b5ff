import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { placeholderFor, resourceOf } from '#api/translate/resource.ts'
import { MemoryView } from '#api/serve/memory-view.ts'
import type { Resource } from '#api/serve/resource.ts'
import { startXds } from '#api/serve/server.ts'
import { systemDoors } from '#core/time/system.ts'
import { RuntimeSchema } from '#core/wire/gen/envoy/service/runtime/v3/rtds_pb.ts'
import { RUNTIME } from '#core/wire/type-url.ts'
import { ENVOY_VERSIONS } from '#infra/parts/envoy.ts'
import { until } from '../mesh/shop.ts'
import { EnvoyProcess } from './envoy-process.ts'

/** By which stream each layer comes. */
const layers = { 'over-ads': 'ads', 'over-delta': 'DELTA_GRPC', 'over-sotw': 'GRPC' } as const

const layer = (name: string, value: number): Resource => resourceOf(RuntimeSchema, name, create(RuntimeSchema, { name, layer: { [`weft.${name}`]: value } }), [])

for (const version of ENVOY_VERSIONS) {
  test(`stock Envoy ${version} starts though nobody has anything to say of its runtime, over ADS and over streams of RTDS, and takes and loses a layer`, async (t) => {
    const view = new MemoryView([], 1, placeholderFor)
    const serve = { authenticate: () => Promise.resolve({ organizationId: 'o', meshId: 'm', identity: undefined, how: 'plaintext-loopback', expiresAtMs: Date.UTC(2100, 0) } as const), viewFor: () => Promise.resolve(view), connected() {}, disconnected() {} }
    const server = await startXds({ ...systemDoors, serve }, { plaintext: { address: '127.0.0.1', port: 0 } })
    t.after(() => server.close(0))
    const envoy = await EnvoyProcess.start({ version, xds: `127.0.0.1:${server.port}`, nodeId: 'sidecar~127.0.0.1~a.prod~prod.svc.cluster.local', runtime: layers })
    t.after(() => envoy.stop())
    // Its patience with each is without end.
    await envoy.ready()
    const values = async (): Promise<Record<string, string>> => {
      const { entries } = JSON.parse(await envoy.get('/runtime?format=json')) as { entries: Record<string, { final_value: string }> }
      return Object.fromEntries(Object.entries(entries).map(([key, { final_value: value }]) => [key, value]))
    }
    assert.deepEqual(await values(), {})
    view.set(...Object.keys(layers).map((name) => layer(name, 7)))
    const all = Object.fromEntries(Object.keys(layers).map((name) => [`weft.${name}`, '7']))
    await until('it has all layers', async () => Object.keys(await values()).length === 3)
    assert.deepEqual(await values(), all)
    view.remove(RUNTIME, ...Object.keys(layers))
    await until('it has none', async () => Object.keys(await values()).length === 0)
    assert.deepEqual(server.ledger.statuses('m').flatMap((one) => one.types.flatMap((type) => type.rejection ?? [])), [])
  })
}
