import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import packet from 'dns-packet'
import { NameTableSchema } from '#core/wire/gen/istio/networking/nds/v1/nds_pb.ts'
import { HEALTH_INFORMATION, NAME_TABLE } from '#core/wire/type-url.ts'
import { ENVOY_VERSIONS, installEnvoy } from '#infra/parts/envoy.ts'
import { TestControlPlane } from '../testing/control-plane.ts'
import { ask, deadPort, httpServer } from '../testing/peers.ts'
import { putWay } from '../testing/ways.ts'

const PATIENCE_MS = 300_000

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`never so: ${what}`)
    await new Promise((tick) => setTimeout(tick, 20))
  }
}

/** Calls out at once and again when told to end, which it does with 7; answers `/` once whoever tests it says so. */
const application = `
const http = require('node:http')
const [outbound, port] = process.argv.slice(-2)
const call = (path) => new Promise((resolve) => http.get({ port: outbound, path, agent: false }, (r) => r.resume().on('end', resolve)).on('error', (e) => { console.error(e); resolve() }))
process.on('SIGTERM', async () => { await call('/last'); process.exit(7) })
call('/first').then(() => http.createServer((request, response) => void call('/serving').then(() => response.end('served'))).listen(Number(port), '127.0.0.1'))
`

/** An agent's process with its Envoy between an application's ports and a server outside, which holds its answers to `/serving` until they are let go. */
async function world(t: TestContext, more: Record<string, string> = {}) {
  const [newest = ''] = ENVOY_VERSIONS.slice(-1)
  const envoy = await installEnvoy(newest)
  const plane = new TestControlPlane()
  await plane.start()
  const directory = mkdtempSync(path.join(tmpdir(), 'weft-envoy-life-'))
  t.after(() => {
    plane.stop()
    rmSync(directory, { recursive: true, force: true })
  })
  const root = path.join(directory, 'root.pem')
  writeFileSync(root, plane.authority.rootPem)
  const calls: string[] = []
  const held: (() => void)[] = []
  const outside = await httpServer(t, (request, response) => {
    calls.push(request.url ?? '')
    if (request.url === '/serving') held.push(() => response.end())
    else response.end()
  })
  const ports = { inbound: await deadPort(), outbound: await deadPort(), app: await deadPort(), admin: await deadPort() }
  putWay(plane, 'inbound_app', 1, ports.inbound, ports.app)
  putWay(plane, 'outbound', 2, ports.outbound, outside.port)
  const run = (...words: string[]) => {
    const env = {
      PATH: process.env['PATH'] ?? '', WEFT_XDS: plane.target, WEFT_XDS_ROOT: root, WEFT_JOIN_TOKEN: plane.token, WEFT_NAME: 'a', WEFT_ADDRESS: '127.0.0.1', WEFT_ADMIN: `127.0.0.1:${ports.admin}`,
      WEFT_PORTS: JSON.stringify([{ port: ports.app, name: 'http', listen: { address: '127.0.0.1', port: ports.inbound }, app: { address: '127.0.0.1', port: ports.app } }]),
      WEFT_ENGINE: 'envoy', WEFT_ENVOY: envoy, WEFT_ENVOY_ARGUMENTS: '--concurrency 1', WEFT_DRAIN_SECONDS: '5', ...more,
    }
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', path.join(import.meta.dirname, '../main.ts'), ...words], { env, stdio: ['ignore', 'ignore', 'pipe'] })
    // Envoy and the application end with the agent; killed, it would leave them.
    t.after(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill('SIGTERM')
      await gone
    })
    child.stderr.resume()
    return child
  }
  const ready = (): Promise<string> => ask(ports.admin, '/ready').then(({ body }) => body.trim(), () => '')
  return { plane, calls, held, ports, run, ready }
}

const healthSaid = (plane: TestControlPlane): boolean => plane.requests.some(({ typeUrl, errorDetail }) => typeUrl === HEALTH_INFORMATION && errorDetail === undefined)

test('Envoy wraps an application: ready before it starts, called once it listens, told to end after what was in flight, gone after it with its exit code', async (t) => {
  const { plane, calls, held, ports, run } = await world(t)
  const child = run('--', process.execPath, '-e', application, String(ports.outbound), String(ports.app))
  await until('the mesh may call', () => healthSaid(plane))
  assert.equal(calls[0], '/first')
  assert.equal(plane.requests.find(({ node }) => node !== undefined)?.node?.metadata?.['WEFT_HEALTH'], 'unhealthy', 'until then it may not')

  const inFlight = ask(ports.inbound, '/')
  await until('a request is in flight', () => held.length === 1)
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await until('the workload has left', () => plane.goodbyes === 1)
  assert.ok(!calls.includes('/last'), 'the application is not told before')
  held[0]?.()
  assert.equal((await inFlight).body, 'served')
  assert.deepEqual(await ended, [7, null])
  assert.equal(calls.at(-1), '/last')
  await assert.rejects(ask(ports.admin, '/ready'))
})

test('what an application leaves open holds no Envoy back', async (t) => {
  const { plane, held, ports, run } = await world(t, { WEFT_DRAIN_SECONDS: '600' })
  const child = run('--', process.execPath, '-e', application.replace('await call', 'void call'), String(ports.outbound), String(ports.app))
  await until('the mesh may call', () => healthSaid(plane))
  const open = ask(ports.outbound, '/serving').then(() => 'answered', () => 'cut')
  await until('a request is in flight', () => held.length === 1)
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  assert.deepEqual(await ended, [7, null])
  assert.equal(await open, 'cut')
  await assert.rejects(ask(ports.admin, '/ready'))
})

test('beside an Envoy the agent answers look-ups, from the names that came by its stream', async (t) => {
  const dns = await deadPort()
  const { plane, ports, run, ready } = await world(t, { WEFT_DNS: `127.0.0.1:${dns}` })
  const put = (address: string): void => plane.put(NameTableSchema, 'orders.prod.svc.cluster.local', { table: { 'orders.prod.svc.cluster.local': { ips: [address], registry: 'Kubernetes', shortname: 'orders', namespace: 'prod' } } })
  put('10.0.0.1')
  const child = run()
  await until('Envoy is live', async () => (await ready()) === 'LIVE')
  const socket = createSocket('udp4')
  t.after(() => socket.close())
  const answers: string[] = []
  socket.on('message', (bytes) => answers.push(...(packet.decode(bytes).answers ?? []).map((one) => (one.type === 'A' ? one.data : one.type))))
  const answersWith = (address: string): Promise<void> =>
    until(`it answers ${address}`, () => {
      socket.send(packet.encode({ type: 'query', id: 1, questions: [{ type: 'A', name: 'orders.prod.svc.cluster.local' }] }), dns, '127.0.0.1')
      return answers.at(-1) === address
    })
  await answersWith('10.0.0.1')
  put('10.0.0.2')
  await answersWith('10.0.0.2')
  assert.ok(plane.requests.some(({ typeUrl, responseNonce }) => typeUrl === NAME_TABLE && responseNonce !== ''), 'names are acknowledged')
  assert.equal(plane.sessions.size, 1, 'on the stream of Envoy')

  // The control plane is away, and comes back: the stream does too, and asks for what is missing.
  plane.stop()
  put('10.0.0.3')
  await plane.start()
  await answersWith('10.0.0.3')
  assert.equal((await ask(ports.outbound, '/')).status, 200)
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  assert.deepEqual(await ended, [0, null])
})

test('an Envoy that ends announces it first: readiness fails while connections are still taken', async (t) => {
  const { plane, ports, run, ready } = await world(t, { WEFT_DRAIN_DELAY_SECONDS: '3' })
  const child = run()
  await until('Envoy is live', async () => (await ready()) === 'LIVE')
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await until('readiness fails', async () => (await ready()) === 'DRAINING')
  const answer = await ask(ports.outbound, '/')
  assert.deepEqual([answer.status, answer.headers.connection], [200, 'close'])
  assert.equal(plane.goodbyes, 1)
  assert.deepEqual(await ended, [0, null])
  assert.ok(!existsSync(`/proc/${child.pid}`))
})
