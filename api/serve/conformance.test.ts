import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { fromBinary } from '@bufbuild/protobuf'
import { Client, credentials, status } from '@grpc/grpc-js'
import { systemDoors } from '#core/time/system.ts'
import { ClusterLoadAssignmentSchema } from '#core/wire/gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { cds, ecds, eds, lds, rds, type RpcMethod, rtds, sds, srds, vhds } from '#core/wire/grpc.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, EXTENSION_CONFIG, LISTENER, ROUTE_CONFIGURATION, RUNTIME, SCOPED_ROUTE_CONFIGURATION, SECRET, VIRTUAL_HOST } from '#core/wire/type-url.ts'
import { startConformance } from './conformance.ts'
import { NodeStates } from './node-states.ts'
import { stringField } from './protobuf.ts'
import { type DeltaAsk, type DeltaStream, nodeNamed, RawClient, type SotwAsk, type SotwStream } from './raw-client.ts'

const node = nodeNamed('test-id')

/** Every type with the methods of its own service; SotW first, which VHDS has not. */
const services: readonly (readonly [name: string, type: string, sotw: RpcMethod | undefined, delta: RpcMethod])[] = [
  ['CDS', CLUSTER, cds.streamClusters, cds.deltaClusters],
  ['EDS', CLUSTER_LOAD_ASSIGNMENT, eds.streamEndpoints, eds.deltaEndpoints],
  ['LDS', LISTENER, lds.streamListeners, lds.deltaListeners],
  ['RDS', ROUTE_CONFIGURATION, rds.streamRoutes, rds.deltaRoutes],
  ['SRDS', SCOPED_ROUTE_CONFIGURATION, srds.streamScopedRoutes, srds.deltaScopedRoutes],
  ['SDS', SECRET, sds.streamSecrets, sds.deltaSecrets],
  ['ECDS', EXTENSION_CONFIG, ecds.streamExtensionConfigs, ecds.deltaExtensionConfigs],
  ['RTDS', RUNTIME, rtds.streamRuntime, rtds.deltaRuntime],
  ['VHDS', VIRTUAL_HOST, undefined, vhds.deltaVirtualHosts],
]
const wildcards = new Set(['CDS', 'LDS', 'SRDS'])

/** `adapter.Adapter`, called by hand as a suite of another language does. */
class Adapter {
  readonly #client: Client

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure())
  }

  /** Each resource is a message that holds its name alone. */
  set(version: string, type: string, ...names: string[]): Promise<Buffer> {
    const any = (name: string): Buffer => {
      const value = stringField(1, name)
      return Buffer.concat([stringField(1, type), Buffer.from([0x12, value.length]), value])
    }
    return this.#call('SetState', [stringField(1, 'test-id'), stringField(2, version), ...names.map((name) => Buffer.concat([Buffer.from([0x1a, any(name).length]), any(name)]))])
  }

  clear(): Promise<Buffer> {
    return this.#call('ClearState', [stringField(1, 'test-id')])
  }

  change(verb: 'Add' | 'Update' | 'Remove', type: string, name: string, version: string): Promise<Buffer> {
    return this.#call(`${verb}Resource`, [stringField(1, 'test-id'), stringField(2, type), stringField(3, name), stringField(4, version)])
  }

  close(): void {
    this.#client.close()
  }

  #call(method: string, parts: readonly Uint8Array[]): Promise<Buffer> {
    const same = (bytes: Buffer): Buffer => bytes
    return new Promise((resolve, reject) =>
      this.#client.makeUnaryRequest(`/adapter.Adapter/${method}`, same, same, Buffer.concat(parts), (error, answer) => (error ? reject(error) : resolve(answer ?? Buffer.alloc(0)))),
    )
  }
}

interface World {
  readonly adapter: Adapter
  readonly client: RawClient
  readonly states: NodeStates
}

async function world(t: TestContext): Promise<World> {
  const states = new NodeStates()
  const server = await startConformance(systemDoors, states, { address: '127.0.0.1', port: 0 })
  const adapter = new Adapter(`127.0.0.1:${server.port}`)
  const client = new RawClient(`127.0.0.1:${server.port}`)
  t.after(async () => {
    client.close()
    adapter.close()
    await server.close(0)
  })
  return { adapter, client, states }
}

/** A stream of either protocol that answers what it got as names and versions. */
interface Asker {
  ask(ask: { subscribe?: string[]; unsubscribe?: string[] }): void
  /** The next response, acknowledged: names, their version or versions, removals. */
  take(): Promise<{ names: string[]; versions: string[]; removed: string[]; version: string }>
  readonly unread: number
}

function deltaAsker(stream: DeltaStream, type: string): Asker {
  let first = true
  return {
    ask(ask) {
      const message: DeltaAsk = { ...(first ? { node } : {}), type, ...ask }
      first = false
      stream.ask(message)
    },
    async take() {
      const response = await stream.take()
      assert.equal(response.typeUrl, type)
      return { names: response.resources.map((one) => one.name).sort(), versions: [...new Set(response.resources.map((one) => one.version))], removed: response.removedResources, version: response.systemVersionInfo }
    },
    get unread() {
      return stream.unread
    },
  }
}

function sotwAsker(stream: SotwStream, type: string): Asker {
  const names = new Set<string>()
  let nonce = ''
  let version = ''
  return {
    ask({ subscribe = [], unsubscribe = [] }) {
      for (const name of subscribe) names.add(name)
      for (const name of unsubscribe) names.delete(name)
      const message: SotwAsk = { ...(nonce === '' ? { node } : {}), type, names: [...names], nonce, version }
      stream.ask(message)
    },
    async take() {
      const response = await stream.next()
      assert.equal(response.typeUrl, type)
      ;({ nonce, versionInfo: version } = response)
      stream.ack(response, [...names])
      return { names: response.resources.map((one) => fromBinary(ClusterLoadAssignmentSchema, one.value).clusterName).sort(), versions: [version], removed: [], version }
    },
    get unread() {
      return stream.unread
    },
  }
}

for (const aggregated of [true, false]) {
  for (const [service, type, sotw, delta] of services) {
    for (const protocol of ['delta', 'sotw'] as const) {
      const method = protocol === 'delta' ? delta : sotw
      if (method === undefined) continue
      const open = (client: RawClient): Asker => {
        const options = aggregated ? {} : { path: method.path }
        return protocol === 'delta' ? deltaAsker(client.delta(options), type) : sotwAsker(client.sotw(options), type)
      }
      const full = protocol === 'sotw' && wildcards.has(service)
      const title = `${aggregated ? 'ADS' : service}, ${protocol}, ${service}`

      test(`${title}: explicit versions, updates, additions, names that come later, removals and their return`, async (t) => {
        const { adapter, client } = await world(t)
        await adapter.set('1', type, 'A', 'B', 'C')
        const asker = open(client)
        asker.ask({ subscribe: ['A', 'B', 'Z'] })
        const first = await asker.take()
        assert.deepEqual([first.names.filter((name) => name !== 'Z'), first.versions.filter((one) => one !== 'absent'), first.version], [['A', 'B'], ['1'], '1'])
        await adapter.change('Update', type, 'A', '2')
        const second = await asker.take()
        assert.deepEqual([second.names, second.versions, second.version], [full ? ['A', 'B'] : ['A'], ['2'], '2'])
        // Nobody asked for it.
        await adapter.change('Update', type, 'C', '3')
        await adapter.change('Add', type, 'Z', '4')
        const third = await asker.take()
        assert.deepEqual([third.names, third.versions], [full ? ['A', 'B', 'Z'] : ['Z'], ['4']])
        if (protocol === 'sotw' && !full) return
        await adapter.change('Remove', type, 'B', '5')
        const fourth = await asker.take()
        if (full) assert.deepEqual(fourth.names, ['A', 'Z'])
        else if (service === 'VHDS') assert.deepEqual([fourth.names, fourth.versions], [['B'], ['absent']])
        else assert.deepEqual(fourth.removed, ['B'])
        await adapter.change('Add', type, 'B', '6')
        const fifth = await asker.take()
        assert.deepEqual([fifth.names, fifth.versions], [full ? ['A', 'B', 'Z'] : ['B'], ['6']])
        assert.equal(asker.unread, 0)
      })

      test(`${title}: names dropped are not heard of again, and asked for again they come again`, async (t) => {
        const { adapter, client } = await world(t)
        await adapter.set('1', type, 'A', 'B')
        const asker = open(client)
        asker.ask({ subscribe: ['A', 'B'] })
        await asker.take()
        asker.ask({ unsubscribe: ['B'] })
        await adapter.change('Update', type, 'B', '2')
        await adapter.change('Update', type, 'A', '3')
        // A SotW server may have read the request after the change, and answers with what it knew then.
        let next = await asker.take()
        while (!(next.names.includes('A') && next.versions.includes('3'))) next = await asker.take()
        asker.ask({ subscribe: ['B', 'B'] })
        next = await asker.take()
        assert.deepEqual(next.names, full ? ['A', 'B'] : ['B'])
        assert.equal(asker.unread, 0)
      })
    }
  }
}

for (const protocol of ['delta', 'sotw'] as const) {
  test(`${protocol}: a wildcard hears of all that comes, a state that is set anew is a difference, and one that is cleared is gone`, async (t) => {
    const { adapter, client } = await world(t)
    const asker = protocol === 'delta' ? deltaAsker(client.delta(), CLUSTER) : sotwAsker(client.sotw(), CLUSTER)
    asker.ask({})
    assert.deepEqual((await asker.take()).names, [], 'nothing is known of this node yet, and that is an answer')
    await adapter.set('v1', CLUSTER, 'A', 'B')
    const first = await asker.take()
    assert.deepEqual([first.names, first.version, first.versions], [['A', 'B'], 'v1', ['v1']])
    await adapter.set('v2', CLUSTER, 'B', 'C')
    const second = await asker.take()
    assert.deepEqual([second.names, second.version], [['B', 'C'], 'v2'])
    if (protocol === 'delta') assert.deepEqual([...second.removed, ...(second.removed.length === 0 ? (await asker.take()).removed : [])], ['A'])
    await adapter.clear()
    const third = await asker.take()
    assert.deepEqual([third.names, protocol === 'delta' ? [...third.removed].sort() : []], [[], protocol === 'delta' ? ['B', 'C'] : []])
  })

  test(`${protocol}: nodes have states of their own`, async (t) => {
    const { states, client } = await world(t)
    states.set('test-id', '1', [{ type: CLUSTER, name: 'mine' }])
    states.set('other', '1', [{ type: CLUSTER, name: 'theirs' }])
    const asker = protocol === 'delta' ? deltaAsker(client.delta(), CLUSTER) : sotwAsker(client.sotw(), CLUSTER)
    asker.ask({ subscribe: ['mine', 'theirs'] })
    const { names, removed } = await asker.take()
    assert.deepEqual([names, removed], [['mine'], protocol === 'delta' ? ['theirs'] : []])
  })
}

test('a type of another service on a stream of one type ends it, and so does no type on an aggregated stream', async (t) => {
  const { client } = await world(t)
  const wrong = client.delta({ path: cds.deltaClusters.path })
  wrong.ask({ node, type: LISTENER })
  assert.equal((await wrong.status()).code, status.INVALID_ARGUMENT)
  const none = client.sotw()
  none.ask({ node, type: '' })
  assert.equal((await none.status()).code, status.INVALID_ARGUMENT)
  const implied = client.sotw({ path: cds.streamClusters.path })
  implied.ask({ node, type: '' })
  assert.equal((await implied.next()).typeUrl, CLUSTER)
})

test('what a suite states that cannot be read is refused, and what was there stays', async (t) => {
  const { adapter, client, states } = await world(t)
  states.set('test-id', '1', [{ type: CLUSTER, name: 'A' }])
  await assert.rejects(adapter.set('2', CLUSTER, ''), { code: status.INVALID_ARGUMENT })
  const asker = deltaAsker(client.delta(), CLUSTER)
  asker.ask({})
  assert.deepEqual((await asker.take()).names, ['A'])
})
