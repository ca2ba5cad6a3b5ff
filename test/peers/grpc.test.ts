import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, test, type TestContext } from 'node:test'
import { Client, credentials, Server, ServerCredentials, status } from '@grpc/grpc-js'
import { create, fromBinary } from '@bufbuild/protobuf'
import { durationFromMs } from '@bufbuild/protobuf/wkt'
import { isUnlikely } from '#cli/engines/chance.ts'
import type { Resource, ResourceView, ViewChange } from '#api/serve/resource.ts'
import { startXds, type XdsServer } from '#api/serve/server.ts'
import { deleteChange, meshOf, nodeFrom, putChange, storedFrom, workloadChange, workloadFrom } from '#api/translate/testing/mesh-case.ts'
import { resourceOf } from '#api/translate/resource.ts'
import type { MeshViews } from '#api/translate/view.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { systemDoors } from '#core/time/system.ts'
import { Cluster_DiscoveryType, ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClientResourceStatus } from '#core/wire/gen/envoy/admin/v3/config_dump_shared_pb.ts'
import { type ClientConfig_GenericXdsConfig, ClientStatusRequestSchema, type ClientStatusResponse } from '#core/wire/gen/envoy/service/status/v3/csds_pb.ts'
import { csds, defineTypedMethod } from '#core/wire/grpc.ts'
import { CLUSTER } from '#core/wire/type-url.ts'
import type { Workload } from '#core/workload/workload.ts'
import { grpcBootstrap } from '#proxy/bootstrap/grpc-bootstrap.ts'
import { until } from '../mesh/shop.ts'
import { type ClientCommand, goClient, jsClient, pythonClient } from '../parts/grpc-clients.ts'

const host = 'orders.prod.svc.cluster.local'
const object = (apiVersion: string, kind: string, name: string, spec: object): ResourceObject => ({ apiVersion, kind, metadata: { name, namespace: 'prod', creationTimestamp: '2026-01-01T00:00:00Z' }, spec })
const service = object('v1', 'Service', 'orders', { selector: { app: 'orders' }, ports: [{ name: 'grpc', port: 80, targetPort: 8080 }] })
const rule = object('networking.istio.io/v1', 'DestinationRule', 'orders', { host: 'orders', subsets: ['v1', 'v2'].map((version) => ({ name: version, labels: { version } })) })
const split = (v1: number, more: object = {}): ResourceObject =>
  object('networking.istio.io/v1', 'VirtualService', 'orders', { hosts: ['orders'], http: [{ route: [{ destination: { host: 'orders', subset: 'v1' }, weight: v1 }, { destination: { host: 'orders', subset: 'v2' }, weight: 100 - v1 }], ...more }] })

interface Backend {
  readonly workload: Workload
  /** So many calls are answered with UNAVAILABLE first. */
  failing: number
  /** How long an answer takes. */
  delayMs: number
  calls: number
  close(): void
}

async function startBackend(version: string, locality = ''): Promise<Backend> {
  const server = new Server()
  const bytes = (b: Buffer): Buffer => b
  const backend = { failing: 0, delayMs: 0, calls: 0, close: () => server.forceShutdown() }
  server.addService(
    { who: { path: '/test.Echo/Who', requestStream: false, responseStream: false, requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes } },
    {
      who: (_call: unknown, done: (error: { code: status } | null, answer?: Buffer) => void) => {
        backend.calls += 1
        if (backend.failing > 0) {
          backend.failing -= 1
          done({ code: status.UNAVAILABLE })
        } else if (backend.delayMs > 0) setTimeout(() => done(null, Buffer.from(version)), backend.delayMs)
        else done(null, Buffer.from(version))
      },
    },
  )
  const port = await new Promise<number>((resolve, reject) => server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))))
  const at = { address: '127.0.0.1', port }
  const workload: Workload = { ...workloadFrom({ name: `orders-${version}${locality.replaceAll('/', '-')}`, namespace: 'prod', labels: { app: 'orders', version }, address: '127.0.0.1', locality, mutualTls: false }), ports: [{ port: 8080, listen: at, app: at }] }
  return Object.assign(backend, { workload })
}

class GrpcClient {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  said = ''

  constructor(command: ClientCommand, target: string, bootstrap: string, env: NodeJS.ProcessEnv = {}) {
    const [program, ...parameters] = command
    this.#child = spawn(program, [...parameters, target], { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env, GRPC_XDS_BOOTSTRAP: bootstrap } })
    if (!this.#child.stdout) throw new Error('a pipe')
    this.#child.stderr?.on('data', (text: Buffer) => (this.said = (this.said + text.toString()).slice(-4000)))
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  /** Makes calls one after the other, and answers how often each outcome came. */
  async call(count: number): Promise<Record<string, number>> {
    this.#child.stdin?.write(`${count}\n`)
    const { value, done } = await this.#lines.next()
    if (done === true) throw new Error(`the client ended: ${this.said}`)
    return JSON.parse(value) as Record<string, number>
  }

  end(): void {
    this.#child.kill('SIGKILL')
  }
}

/** What a client says of itself (A40). */
async function configsOf(at: string): Promise<readonly ClientConfig_GenericXdsConfig[]> {
  const client = new Client(at, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 })
  try {
    const { path, requestSerialize, responseDeserialize } = defineTypedMethod(csds.fetchClientStatus, (bytes): Buffer => Buffer.from(bytes))
    const response = await new Promise<ClientStatusResponse>((resolve, reject) => {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, create(ClientStatusRequestSchema), (error, answer) => (answer ? resolve(answer) : reject(error)))
    })
    // grpc-js-xds leaves out what stands before a type's name.
    return response.config.flatMap((one) => one.genericXdsConfigs).map((one) => ({ ...one, typeUrl: `type.googleapis.com/${one.typeUrl.replace('type.googleapis.com/', '')}` }))
  } finally {
    client.close()
  }
}

interface World {
  readonly server: XdsServer
  readonly views: MeshViews
  backend(version: string, locality?: string): Promise<Backend>
  client(target?: string, locality?: string, env?: NodeJS.ProcessEnv): GrpcClient
  apply(...objects: ResourceObject[]): void
  synced(): Promise<void>
  /** Puts a resource of a test's own in the place of the translated one, for all clients. */
  pin(resource: Resource): void
}

async function world(t: TestContext, command: ClientCommand, objects: ResourceObject[]): Promise<World> {
  const { views } = meshOf(objects, [])
  let revision = 1000
  const pins = new Map<string, Resource>()
  const pinned: ((resource: Resource) => void)[] = []
  const server = await startXds(
    {
      ...systemDoors,
      serve: {
        authenticate: () => Promise.resolve({ organizationId: 'o', meshId: 'm', identity: undefined, how: 'plaintext-loopback', expiresAtMs: Date.UTC(2100, 0) }),
        viewFor: (_peer, node): Promise<ResourceView> => {
          const view = views.viewFor(node, undefined)
          const listeners = new Set<(change: ViewChange) => void>()
          pinned.push((resource) => {
            for (const listener of listeners) listener({ revision: view.revision, changed: [resource], removed: [] })
          })
          return Promise.resolve({
            get revision() {
              return view.revision
            },
            get: (type, name) => (pins.get(name)?.type === type ? pins.get(name) : view.get(type, name)),
            list: (type) => view.list(type),
            placeholder: (type, name) => view.placeholder(type, name),
            release: () => view.release(),
            subscribe(listener) {
              listeners.add(listener)
              return view.subscribe(listener)
            },
          })
        },
        connected() {},
        disconnected() {},
      },
    },
    { plaintext: { address: '127.0.0.1', port: 0 } },
  )
  const folder = mkdtempSync(join(tmpdir(), 'weft-grpc-'))
  const ends: (() => void)[] = []
  t.after(async () => {
    for (const end of ends) end()
    await server.close(0)
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    server,
    views,
    async backend(version, locality) {
      const backend = await startBackend(version, locality)
      ends.push(() => backend.close())
      views.apply([workloadChange(backend.workload, (revision += 1))], revision)
      return backend
    },
    client(target = `${host}:80`, locality = '', env = {}) {
      const file = join(folder, `bootstrap-${ends.length}.json`)
      const node = { ...nodeFrom({ name: 'caller', namespace: 'prod', ...(locality === '' ? {} : { locality }) }), type: 'grpc' as const, id: 'caller' }
      writeFileSync(file, JSON.stringify(grpcBootstrap({ node, target: `127.0.0.1:${server.port}`, certificates: undefined })))
      const client = new GrpcClient(command, target, file, env)
      ends.push(() => client.end())
      return client
    },
    apply(...changed) {
      views.apply(changed.map((one) => putChange(storedFrom(one, (revision += 1)))), revision)
    },
    pin(resource) {
      pins.set(resource.name, resource)
      for (const tell of pinned) tell(resource)
    },
    async synced() {
      const { rejected, stragglers } = await server.ledger.whenSynced('m', views.revision, 60_000)
      assert.deepEqual([rejected, stragglers], [[], []])
    },
  }
}

for (const [name, find] of [
  ['@grpc/grpc-js-xds', jsClient],
  ['grpcio', pythonClient],
  ['grpc-go', goClient],
] as const) {
  describe(name, () => {
    const command = find()
    const needed = async (t: TestContext): Promise<ClientCommand> => {
      const found = await command
      if (found === undefined) t.skip(`${name} cannot be had here`)
      return found ?? ['false']
    }

    test('weights hold, a new split is taken, and nothing is refused', async (t) => {
      const { client: start, backend, apply, synced } = await world(t, await needed(t), [service, rule, split(90)])
      await backend('v1')
      await backend('v2')
      const client = start()
      const first = await client.call(500)
      assert.equal(isUnlikely(first['v2'] ?? 0, 500, 0.1), false, JSON.stringify([first, client.said]))
      assert.equal((first['v1'] ?? 0) + (first['v2'] ?? 0), 500)
      await synced()
      apply(split(0))
      await synced()
      // A client acknowledges what it has read, and calls by it a moment later.
      await until('the new split is in force', async () => (await client.call(100))['v2'] === 100)
    })

    test('short names are targets too', async (t) => {
      const { client: start, backend } = await world(t, await needed(t), [service])
      await backend('v1')
      assert.deepEqual(await start('orders.prod:80').call(5), { v1: 5 })
      assert.deepEqual(await start('orders:80').call(5), { v1: 5 })
    })

    test('a route retries what fails', async (t) => {
      const { client: start, backend } = await world(t, await needed(t), [service, rule, split(100, { retries: { attempts: 3, retryOn: 'unavailable' } })])
      const v1 = await backend('v1')
      const client = start()
      assert.deepEqual(await client.call(1), { v1: 1 })
      v1.failing = 2
      v1.calls = 0
      assert.deepEqual(await client.call(1), { v1: 1 })
      assert.equal(v1.calls, 3)
    })

    test('a route matches by path, and its timeout ends a call that takes longer', async (t) => {
      const to = (version: string) => [{ destination: { host: 'orders', subset: version } }]
      const byPath = (timeout: string) =>
        object('networking.istio.io/v1', 'VirtualService', 'orders', { hosts: ['orders'], http: [{ match: [{ uri: { prefix: '/other.' } }], route: to('v1') }, { match: [{ uri: { exact: '/test.Echo/Who' } }], route: to('v2'), timeout }, { route: to('v1') }] })
      const { client: start, backend, apply, synced } = await world(t, await needed(t), [service, rule, byPath('3s')])
      await backend('v1')
      const v2 = await backend('v2')
      v2.delayMs = 500
      const client = start()
      assert.deepEqual(await client.call(2), { v2: 2 })
      await synced()
      apply(byPath('100ms'))
      await synced()
      // Its own deadline is five seconds.
      await until('the shorter time is in force', async () => /^DEADLINE_?EXCEEDED$/i.test(Object.keys(await client.call(1)).join()))
    })

    test('when the near endpoints are gone the far ones take over, and calls come back to the near', async (t) => {
      const failover = object('networking.istio.io/v1', 'DestinationRule', 'orders', { host: 'orders', trafficPolicy: { outlierDetection: { consecutive5xxErrors: 5 } } })
      const { client: start, backend, views, synced } = await world(t, await needed(t), [service, failover])
      const near = await backend('near', 'eu/a')
      await backend('far', 'us/b')
      const client = start(undefined, 'eu/a')
      assert.deepEqual(await client.call(20), { near: 20 })
      views.apply([workloadChange({ ...near.workload, health: 'draining' }, views.revision + 1)], views.revision + 1)
      await synced()
      await until('calls go far', async () => (await client.call(1))['far'] === 1)
      views.apply([workloadChange(near.workload, views.revision + 1)], views.revision + 1)
      await synced()
      await until('calls come back', async () => (await client.call(1))['near'] === 1)
    })

    test('an endpoint all of whose calls fail is ejected, and none is called that is', async (t) => {
      const ejecting = object('networking.istio.io/v1', 'DestinationRule', 'orders', { host: 'orders', trafficPolicy: { outlierDetection: { consecutive5xxErrors: 3, interval: '1s', baseEjectionTime: '300s' } } })
      const { client: start, backend, synced } = await world(t, await needed(t), [service, ejecting])
      const bad = await backend('bad')
      await backend('good')
      bad.failing = Infinity
      const client = start()
      // Before, both are called in turn; and retries hide what fails.
      await until('it is ejected', async () => {
        const before = bad.calls
        const outcomes = await client.call(20)
        return outcomes['good'] === 20 && bad.calls === before
      })
      assert.ok(bad.calls >= 3, `${bad.calls} calls`)
      await synced()
    })

    // grpcio has it in another package.
    if (name !== 'grpcio')
      test('CSDS: what the client says that it holds is what it was sent, to the byte', async (t) => {
        const { client: start, backend, server, views, apply, synced } = await world(t, await needed(t), [service, rule, split(90)])
        await backend('v1')
        await backend('v2')
        const client = start(undefined, undefined, { CSDS: '1' })
        assert.equal(Object.values(await client.call(10)).reduce((sum, count) => sum + count, 0), 10)
        apply(split(50))
        await synced()
        let at = ''
        await until('it says where it is asked', () => (at = /csds (\S+)\n/.exec(client.said)?.[1] ?? '') !== '')
        const [stream] = server.ledger.streamsOf('m')
        const sent = [...(stream?.sent() ?? [])].map(({ type, name: of }) => `${type} ${of}`).sort()
        let held: readonly ClientConfig_GenericXdsConfig[] = []
        await until('all that it was sent is acknowledged in its own words', async () => {
          held = await configsOf(at)
          return sent.length > 0 && held.filter((one) => one.clientStatus === ClientResourceStatus.ACKED).length === sent.length
        })
        assert.deepEqual(held.map((one) => `${one.typeUrl} ${one.name}`).sort(), sent)
        const view = views.viewFor({ ...nodeFrom({ name: 'caller', namespace: 'prod' }), type: 'grpc' }, undefined)
        for (const { typeUrl, name: of, xdsConfig } of held) assert.ok(Buffer.compare(xdsConfig?.value ?? new Uint8Array(), view.get(typeUrl, of)?.bytes ?? new Uint8Array()) === 0, `${typeUrl} ${of}`)
      })

    test('a fault is injected into the calls of a route, and lifted', async (t) => {
      const abort = { fault: { abort: { grpcStatus: 'PERMISSION_DENIED', percentage: { value: 100 } } } }
      const { client: start, backend, apply, synced } = await world(t, await needed(t), [service, rule, split(100, abort)])
      const v1 = await backend('v1')
      const client = start()
      await until('calls are refused', async () => /^PERMISSION_?DENIED$/i.test(Object.keys(await client.call(3)).join()))
      assert.equal(v1.calls, 0)
      await synced()
      apply(split(100))
      // A client acknowledges what it has read, and calls by it a moment later.
      await until('it is lifted', async () => (await client.call(3))['v1'] === 3)
      await synced()
    })

    test('a resource that it refuses is reported with its words, calls go on with what was there, and the next version is taken', async (t) => {
      const { client: start, backend, views, server, synced, pin } = await world(t, await needed(t), [service])
      await backend('v1')
      const client = start()
      assert.deepEqual(await client.call(3), { v1: 3 })
      await synced()
      const cluster = `outbound|80||${host}`
      const good = fromBinary(ClusterSchema, views.viewFor({ ...nodeFrom({ name: 'x', namespace: 'prod' }), type: 'grpc' }, undefined).get(CLUSTER, cluster)?.bytes ?? new Uint8Array())
      pin(resourceOf(ClusterSchema, cluster, { ...good, clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST } }, ['DestinationRule/prod/bad']))
      await until('it is refused', () => server.ledger.statuses('m').some((one) => one.types.some((type) => type.state === 'REJECTED')))
      const rejection = server.ledger.statuses('m')[0]?.types.find((one) => one.rejection)?.rejection
      assert.deepEqual(rejection?.origins, ['DestinationRule/prod/bad'])
      assert.notEqual(rejection?.message, '')
      assert.deepEqual(await client.call(3), { v1: 3 })
      pin(resourceOf(ClusterSchema, cluster, { ...good, connectTimeout: durationFromMs(3000) }, []))
      await synced()
      assert.ok(server.ledger.statuses('m').every((one) => one.types.every((type) => type.rejection === undefined)))
      assert.deepEqual(await client.call(3), { v1: 3 })
    })

    test('a service that is not there is an error and no hang, and comes when it is', async (t) => {
      const { client: start, backend, views, apply } = await world(t, await needed(t), [service])
      await backend('v1')
      const client = start()
      assert.deepEqual(await client.call(1), { v1: 1 })
      views.apply([deleteChange(storedFrom(service, 1), views.revision + 1)], views.revision + 1)
      await until('it is gone', async () => (await client.call(1))['v1'] === undefined)
      apply({ ...service })
      // Once its listener was gone, grpc-js-xds 1.14.1 asks for the routes of that name no more: a new channel does.
      const again = name === '@grpc/grpc-js-xds' ? start() : client
      await until('it is back', async () => (await again.call(1))['v1'] === 1)
    })
  })
}
