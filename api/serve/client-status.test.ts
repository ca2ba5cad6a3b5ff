import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { fault, Faults } from '#core/fault/fault.ts'
import { seededRandom } from '#core/time/seeded.ts'
import { systemDoors } from '#core/time/system.ts'
import { ClientResourceStatus } from '#core/wire/gen/envoy/admin/v3/config_dump_shared_pb.ts'
import { ClientStatusRequestSchema, type ClientStatusResponse, ConfigStatus } from '#core/wire/gen/envoy/service/status/v3/csds_pb.ts'
import { csds, defineTypedMethod } from '#core/wire/grpc.ts'
import { CLUSTER, ROUTE_CONFIGURATION, SECRET } from '#core/wire/type-url.ts'
import { clientStatusJson } from '../observe/client-status-json.ts'
import { clientStatus } from './client-status.ts'
import { MemoryView } from './memory-view.ts'
import { nodeNamed, RawClient } from './raw-client.ts'
import { startXds } from './server.ts'

const node = nodeNamed('sidecar~127.0.0.1~a.prod~prod.svc.cluster.local', { NAMESPACE: 'prod' })
const wrap = (bytes: Uint8Array): Buffer => Buffer.from(bytes)
const fetchMethod = defineTypedMethod(csds.fetchClientStatus, wrap)
const streamMethod = defineTypedMethod(csds.streamClientStatus, wrap)

const nameIn = (values: Readonly<Record<string, number>>, value: number): string | undefined => Object.keys(values).find((name) => values[name] === value)

async function world(t: TestContext) {
  const resources = [
    { type: CLUSTER, name: 'good', version: '1', bytes: Buffer.from('good'), origins: [] },
    { type: CLUSTER, name: 'bad', version: '1', bytes: Buffer.from('bad'), origins: [] },
    { type: SECRET, name: 'key', version: '1', bytes: Buffer.from('canary'), origins: [] },
  ]
  const view = new MemoryView(resources)
  const server = await startXds(
    {
      clock: systemDoors.clock,
      random: seededRandom(1),
      serve: {
        authenticate: () => Promise.resolve({ organizationId: 'o', meshId: 'm', identity: undefined, how: 'plaintext-loopback', expiresAtMs: Date.UTC(2100, 0) }),
        viewFor: () => Promise.resolve(view),
        connected() {},
        disconnected() {},
      },
    },
    {
      plaintext: { address: '127.0.0.1', port: 0 },
      services: [
        clientStatus({
          meshOfOperator: ({ bearer, mesh }) =>
            bearer === 'operator' ? Promise.resolve(mesh ?? 'm') : Promise.reject(new Faults([fault('access.unauthenticated', { path: '', rule: 'a valid API key is required' })])),
        }),
      ],
    },
  )
  const proxy = new RawClient(`127.0.0.1:${server.port}`)
  const operator = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure())
  t.after(async () => {
    proxy.close()
    operator.close()
    await server.close(0)
  })
  const metadataOf = (bearer: string | null): Metadata => {
    const metadata = new Metadata()
    if (bearer !== null) metadata.set('authorization', `Bearer ${bearer}`)
    return metadata
  }
  const ask = (request: MessageInitShape<typeof ClientStatusRequestSchema> = {}, bearer: string | null = 'operator'): Promise<ClientStatusResponse> =>
    new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, response?: ClientStatusResponse): void => (response ? resolve(response) : reject(error ?? new Error('no answer')))
      operator.makeUnaryRequest(fetchMethod.path, fetchMethod.requestSerialize, fetchMethod.responseDeserialize, create(ClientStatusRequestSchema, request), metadataOf(bearer), done)
    })
  return { server, view, proxy, operator, ask, metadataOf }
}

test('rule 29: CSDS tells of each resource whether it is synced, stale, refused or not sent, with the words of the refusal, and hides secrets', async (t) => {
  const { proxy, view, ask, server } = await world(t)
  const stream = proxy.delta()
  stream.ask({ node, type: CLUSTER })
  stream.nack(await stream.next(), 'cluster bad is bad')
  stream.ask({ type: SECRET, subscribe: ['key'] })
  await stream.take()
  stream.ask({ type: ROUTE_CONFIGURATION, subscribe: ['nowhere'] })
  await stream.take()
  view.set({ type: CLUSTER, name: 'late', version: '1', bytes: Buffer.from('late'), origins: [] })
  await stream.next()
  const [config] = (await ask()).config
  assert.equal(config?.node?.id, node.id)
  assert.deepEqual(
    config?.genericXdsConfigs.map((one) => [one.name, nameIn(ConfigStatus, one.configStatus), nameIn(ClientResourceStatus, one.clientStatus), one.errorState?.details ?? '', Buffer.from(one.xdsConfig?.value ?? []).toString()]),
    [
      ['good', 'SYNCED', 'ACKED', '', 'good'],
      ['bad', 'ERROR', 'NACKED', 'cluster bad is bad', 'bad'],
      ['late', 'STALE', 'REQUESTED', '', 'late'],
      ['key', 'SYNCED', 'ACKED', '', ''],
      ['nowhere', 'NOT_SENT', 'DOES_NOT_EXIST', '', ''],
    ],
  )
  assert.ok((await ask({ excludeResourceContents: true })).config[0]?.genericXdsConfigs.every((one) => one.xdsConfig === undefined))
  // The same by way of monitoring: without content, as these are no real clusters.
  const json = JSON.stringify(clientStatusJson(server.ledger, 'm', undefined))
  assert.match(json, /"name":"bad".*"clientStatus":"NACKED"/)
  assert.ok(!json.includes('canary'))
})

test('rule 24: what CSDS tells of much fits into what clients take, and what has no room in it is named without its content', async (t) => {
  const { proxy, view, ask } = await world(t)
  view.update({ changed: Array.from({ length: 50 }, (_, at) => ({ type: CLUSTER, name: `large-${at}`, version: '1', bytes: Buffer.alloc(200_000), origins: [] })) })
  const stream = proxy.delta()
  stream.ask({ node, type: CLUSTER })
  let told = 0
  while (told < 52) told += (await stream.take()).resources.length
  // The client here takes 4 MiB.
  const [config] = (await ask()).config
  const withContent = config?.genericXdsConfigs.filter((one) => one.xdsConfig !== undefined).length ?? 0
  assert.deepEqual([config?.genericXdsConfigs.length, withContent > 10 && withContent < 20], [52, true])
})

test('CSDS is for operators: without a key, or of another mesh, there is nothing to see', async (t) => {
  const { proxy, ask, operator, metadataOf } = await world(t)
  const stream = proxy.delta()
  stream.ask({ node, type: CLUSTER })
  await stream.take()
  await assert.rejects(ask({}, null), { code: status.UNAUTHENTICATED })
  await assert.rejects(ask({}, 'a-proxys-token'), { code: status.UNAUTHENTICATED })
  const metadata = metadataOf('operator')
  metadata.set('x-weft-mesh', 'another')
  const call = operator.makeBidiStreamRequest(streamMethod.path, streamMethod.requestSerialize, streamMethod.responseDeserialize, metadata)
  const answers: ClientStatusResponse[] = []
  call.on('data', (response: ClientStatusResponse) => answers.push(response))
  call.write(create(ClientStatusRequestSchema))
  call.end()
  await new Promise((resolve) => call.on('end', resolve))
  assert.deepEqual(answers.map((one) => one.config), [[]])
})

test('CSDS answers for the nodes that a matcher names', async (t) => {
  const { proxy, ask } = await world(t)
  for (const name of ['a', 'b']) {
    const stream = proxy.delta()
    stream.ask({ node: nodeNamed(`sidecar~127.0.0.1~${name}.prod~prod.svc.cluster.local`), type: CLUSTER })
    await stream.take()
  }
  const only = (matcher: { case: 'exact' | 'prefix' | 'contains'; value: string }) => ask({ nodeMatchers: [{ nodeId: { matchPattern: matcher } }] })
  assert.equal((await only({ case: 'contains', value: '~b.prod~' })).config.length, 1)
  assert.equal((await only({ case: 'prefix', value: 'sidecar~' })).config.length, 2)
  assert.equal((await only({ case: 'exact', value: 'b' })).config.length, 0)
})
