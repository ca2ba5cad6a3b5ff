import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { NodeStates } from '#api/serve/node-states.ts'
import { startConformance } from '#api/serve/conformance.ts'
import { systemDoors } from '#core/time/system.ts'
import { EXTENSION_CONFIG, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import { ENVOY_VERSIONS } from '#infra/parts/envoy.ts'
import { send, until } from '../mesh/shop.ts'
import { EnvoyProcess, type EnvoyOptions } from './envoy-process.ts'
import { answerHeader, cluster, endpoints, extendedListener, routes, scope, scopedListener } from './hand-made.ts'
import { startUpstream } from './upstream.ts'

const nodeId = 'sidecar~127.0.0.1~a.prod~prod.svc.cluster.local'

/** Discovery that the test fills by hand, an Envoy that asks it, and two applications. */
async function world(t: TestContext, version: string, api: EnvoyOptions['api'] & string, fill: (states: NodeStates, a: string, b: string) => void) {
  const [a, b] = [await startUpstream('a'), await startUpstream('b')]
  t.after(() => Promise.all([a.close(), b.close()]))
  const states = new NodeStates()
  const server = await startConformance(systemDoors, states, { address: '127.0.0.1', port: 0 })
  t.after(() => server.close(0))
  fill(states, a.address, b.address)
  const envoy = await EnvoyProcess.start({ version, xds: `127.0.0.1:${server.port}`, nodeId, api })
  t.after(() => envoy.stop())
  const at = await envoy.listening('l')
  await envoy.ready()
  const typeStatus = (type: string) => [...server.ledger.streams()].flatMap((stream) => stream.status().types).find((one) => one.type === type)
  return { states, server, envoy, at, typeStatus }
}

for (const version of ENVOY_VERSIONS) {
  for (const api of ['DELTA_GRPC', 'GRPC'] as const) {
    describe(`stock Envoy ${version}, ${api === 'GRPC' ? 'state of the world' : 'delta'}`, () => {
      test('a filter is configured by ECDS: it changes on the fly, what is refused leaves the one before in force, and the next is taken', async (t) => {
        const { states, at, envoy, typeStatus } = await world(t, version, api, (made, a) => {
          made.set(nodeId, '', [extendedListener('l', 'r', 'mark'), cluster('a'), endpoints('a', a), routes('r', { a: 100 }), answerHeader('mark', 'x-mark', 'one')])
        })
        const mark = async (): Promise<unknown> => (await send(at, { host: 'any', path: '/' })).headers['x-mark']
        assert.equal(await mark(), 'one')
        const created = await envoy.stat('listener_manager.listener_create_success')
        states.put(nodeId, answerHeader('mark', 'x-mark', 'two'), '')
        await until('the filter is as it is now', async () => (await mark()) === 'two')
        // A header without a name.
        states.put(nodeId, answerHeader('mark', '', 'three'), '')
        await until('it is refused', () => typeStatus(EXTENSION_CONFIG)?.state === 'REJECTED')
        assert.match(typeStatus(EXTENSION_CONFIG)?.rejection?.message ?? '', /key/i)
        assert.deepEqual(typeStatus(EXTENSION_CONFIG)?.rejection?.resources, ['mark'])
        assert.equal(await mark(), 'two')
        states.put(nodeId, answerHeader('mark', 'x-mark', 'four'), '')
        await until('the next is taken', async () => (await mark()) === 'four')
        await until('and nothing stands refused', () => typeStatus(EXTENSION_CONFIG)?.state === 'SYNCED')
        assert.equal(await envoy.stat('listener_manager.listener_create_success'), created, 'the listener was left alone')
      })

      test('routes are found by scope: a key comes, is repointed and goes', async (t) => {
        const { states, at, typeStatus } = await world(t, version, api, (made, a, b) => {
          made.set(nodeId, '', [scopedListener('l'), cluster('a'), endpoints('a', a), cluster('b'), endpoints('b', b), routes('to-a', { a: 100 }), routes('to-b', { b: 100 }), scope('one', 'to-a')])
        })
        const ask = async (key: string): Promise<string | number> => {
          const { status, body } = await send(at, { host: 'any', path: '/', headers: { 'x-scope': key } })
          return status === 200 ? body : status
        }
        assert.deepEqual([await ask('one'), await ask('two')], ['a', 404])
        states.put(nodeId, scope('two', 'to-b'), '')
        await until('a key that came is served', async () => (await ask('two')) === 'b')
        states.put(nodeId, scope('one', 'to-b'), '')
        await until('a key leads elsewhere', async () => (await ask('one')) === 'b')
        states.remove(nodeId, SCOPED_ROUTE_CONFIGURATION, 'two')
        await until('a key that went is not served', async () => (await ask('two')) === 404)
        assert.equal(await ask('one'), 'b')
        await until('all is acknowledged', () => [SCOPED_ROUTE_CONFIGURATION, ROUTE_CONFIGURATION].every((type) => typeStatus(type)?.state === 'SYNCED'))
      })
    })
  }
}
