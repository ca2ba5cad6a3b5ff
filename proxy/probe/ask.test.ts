import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { createServer as createHttps } from 'node:https'
import { createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import * as grpc from '@grpc/grpc-js'
import { systemDoors } from '#core/time/system.ts'
import { ReadinessProbeSchema } from '#core/wire/gen/istio/networking/v1alpha3/workload_group_pb.ts'
import type { WorkloadPort } from '#core/workload/workload.ts'
import { createAuthority } from '../testing/authority.ts'
import { deadPort, httpServer } from '../testing/peers.ts'
import { askReadiness, type ProbeDoors } from './ask.ts'

/** As long as it takes: a slow machine answers late. */
const PATIENCE_SECONDS = 120

const ask = (init: MessageInitShape<typeof ReadinessProbeSchema>, doors: Partial<ProbeDoors> = {}): Promise<string> =>
  askReadiness(create(ReadinessProbeSchema, { timeoutSeconds: PATIENCE_SECONDS, ...init }), { clock: systemDoors.clock, ports: [], environment: {}, runsCommands: true, ...doors })

test('HTTP: ready from 200 to 399, asked with the path and the headers of the probe', async (t) => {
  const seen: (string | undefined)[][] = []
  const server = await httpServer(t, (request, response) => {
    seen.push([request.url, request.headers.host, request.headers['user-agent'], request.headers['x-a'] as string])
    response.writeHead(Number(request.url?.slice(1)) || 204).end()
  })
  const at = (path: string) => ({ httpGet: { host: '127.0.0.1', port: server.port, path } })
  assert.equal(await ask(at('')), '')
  assert.equal(await ask(at('/399')), '')
  assert.equal(await ask(at('400')), 'it answered 400')
  const httpHeaders = [{ name: 'Host', value: 'orders.example' }, { name: 'X-A', value: '1' }, { name: 'X-A', value: '2' }, { name: 'User-Agent', value: 'me' }]
  assert.equal(await ask({ httpGet: { ...at('/200').httpGet, httpHeaders } }), '')
  assert.deepEqual(seen, [['/', `127.0.0.1:${server.port}`, 'weft-probe/1.0', undefined], ['/399', `127.0.0.1:${server.port}`, 'weft-probe/1.0', undefined], ['/400', `127.0.0.1:${server.port}`, 'weft-probe/1.0', undefined], ['/200', 'orders.example', 'me', '1, 2']])
  assert.match(await ask({ httpGet: { host: '127.0.0.1', port: await deadPort() } }), /ECONNREFUSED/)
  assert.notEqual(await ask(at('/a b')), '', 'what HTTP cannot carry is a failure')
})

test('HTTP: a port without a host is the application’s, wherever that listens', async (t) => {
  const server = await httpServer(t, (_request, response) => void response.end())
  const ports: WorkloadPort[] = [{ port: 8080, listen: { address: '127.0.0.1', port: 1 }, app: { address: '127.0.0.1', port: server.port } }]
  assert.equal(await ask({ httpGet: { port: 8080 } }, { ports }), '')
})

test('HTTPS: whatever its certificate', async (t) => {
  const authority = createAuthority()
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const cert = authority.issue(publicKey, { address: '127.0.0.1' }, Date.now() - 60_000, Date.now() + 3_600_000)
  const server = createHttps({ cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }) }, (_request, response) => void response.end())
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  assert.equal(await ask({ httpGet: { host: '127.0.0.1', port, scheme: 'HTTPS' } }), '')
  assert.notEqual(await ask({ httpGet: { host: '127.0.0.1', port } }), '')
})

test('no answer in time is a failure', async (t) => {
  const silent = await listening(t)
  assert.equal(await ask({ httpGet: { host: '127.0.0.1', port: silent }, timeoutSeconds: 1 }), 'no answer within 1 s')
  assert.equal(await ask({ exec: { command: ['sleep', '600'] }, timeoutSeconds: 1 }, { environment: { PATH: process.env['PATH'] } }), 'no answer within 1 s')
})

test('TCP: ready when the connection is taken', async (t) => {
  assert.equal(await ask({ tcpSocket: { host: '127.0.0.1', port: await listening(t) } }), '')
  assert.match(await ask({ tcpSocket: { host: '127.0.0.1', port: await deadPort() } }), /ECONNREFUSED/)
})

test('a command: ready when it ends with 0, with the proxy’s variables and no shell', async () => {
  const environment = { PATH: process.env['PATH'], PLACE: 'cellar' }
  const command = (...words: string[]) => ask({ exec: { command: words } }, { environment })
  assert.equal(await command('sh', '-c', 'test "$PLACE" = cellar'), '')
  assert.equal(await command('sh', '-c', 'exit 3'), 'it ended with 3')
  assert.match(await command('weft-no-such-command'), /ENOENT/)
  assert.equal(await ask({ exec: { command: ['true'] } }, { environment, runsCommands: false }), 'commands of the mesh are not run here (WEFT_EXEC_PROBES)')
})

test('gRPC: ready when the health service says that the service is serving', async (t) => {
  const status: Readonly<Record<string, number>> = { '': 1, orders: 1, ledger: 2 }
  const server = new grpc.Server()
  t.after(() => server.forceShutdown())
  const Check: grpc.MethodDefinition<{ service: string }, number> = {
    path: '/grpc.health.v1.Health/Check',
    requestStream: false,
    responseStream: false,
    requestSerialize: ({ service }) => Buffer.from(service),
    requestDeserialize: (bytes) => ({ service: bytes.subarray(2).toString() }),
    responseSerialize: (value) => Buffer.from([8, value]),
    responseDeserialize: (bytes) => bytes[1] ?? 0,
  }
  server.addService({ Check }, { Check: ({ request: { service } }: grpc.ServerUnaryCall<{ service: string }, number>, reply: grpc.sendUnaryData<number>) => (status[service] === undefined ? reply({ code: grpc.status.NOT_FOUND, details: 'unknown' }) : reply(null, status[service])) })
  const port = await new Promise<number>((resolve, reject) => server.bindAsync('localhost:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))))
  assert.equal(await ask({ grpc: { port } }), '')
  assert.equal(await ask({ grpc: { port, service: 'orders' } }), '')
  assert.equal(await ask({ grpc: { port, service: 'ledger' } }), 'its health is 2')
  assert.match(await ask({ grpc: { port, service: 'other' } }), /unknown/)
  server.forceShutdown()
  assert.notEqual(await ask({ grpc: { port } }), '')
})

/** A port where connections are taken and nothing is said. */
async function listening(t: TestContext): Promise<number> {
  const server = createServer((socket) => socket.on('error', () => {}))
  const sockets = new Set<{ destroy(): void }>()
  server.on('connection', (socket) => sockets.add(socket))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}
