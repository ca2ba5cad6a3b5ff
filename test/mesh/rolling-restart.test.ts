import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { installEnvoy } from '#infra/parts/envoy.ts'
import { deadPort } from '#proxy/testing/peers.ts'
import { startPlane } from '../parts/control-plane.ts'
import { proxyProcesses } from '../parts/proxy-process.ts'
import { startLoad } from './load.ts'
import { until } from './shop.ts'

const PER_SECOND = 500

/** Serves, says who it is, and ends at SIGTERM when its last answer is out, as applications do that know of no mesh. */
const application = `
const [port, name] = process.argv.slice(-2)
const server = require('node:http').createServer((request, response) => setTimeout(() => response.setHeader('x-version', name).end('ok'), 5))
process.on('SIGTERM', () => { server.close(() => process.exit(0)); server.closeIdleConnections() })
server.listen(Number(port), '127.0.0.1')
`

for (const engine of ['weft', 'envoy'] as const) test(`each instance of a service is restarted in turn under ${PER_SECOND} requests a second over kept-alive connections, and nobody sees a 5xx: ${engine}`, async (t) => {
  const engineVariables: Readonly<Record<string, string>> = engine === 'weft' ? {} : { WEFT_ENGINE: 'envoy', WEFT_ENVOY: await installEnvoy(), WEFT_ENVOY_ARGUMENTS: '--concurrency 1' }
  const world = await startPlane()
  const proxies = await proxyProcesses(world, 'prod', 'echo')
  t.after(async () => {
    await proxies.close()
    await world.close()
  })
  await world.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'echo', namespace: 'prod' }, spec: { selector: { app: 'echo' }, ports: [{ name: 'http', port: 8080 }] } },
    { apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name: 'default', namespace: 'prod' }, spec: { mtls: { mode: 'STRICT' } } },
  )
  const instance = async (name: string, address: string): Promise<ChildProcess> => {
    const [listen, app] = [await deadPort(), await deadPort()]
    const ports = [{ port: 8080, name: 'http', listen: { address, port: listen }, app: { address: '127.0.0.1', port: app } }]
    return proxies.start(name, { ...engineVariables, WEFT_ADDRESS: address, WEFT_LABELS: 'app=echo', WEFT_PORTS: JSON.stringify(ports) }, [process.execPath, '-e', application, String(app), name])
  }

  const outbound = `127.0.0.1:${await deadPort()}`
  await proxies.start('client', { ...engineVariables, WEFT_ADDRESS: '127.0.3.9', WEFT_OUTBOUND: outbound })
  const names = ['echo-1', 'echo-2', 'echo-3']
  const instances = new Map<string, ChildProcess>()
  for (const [at, name] of names.entries()) instances.set(name, await instance(name, `127.0.3.${at + 1}`))

  const call = { host: 'echo.prod:8080', path: '/' }
  const load = startLoad(outbound, call, PER_SECOND)
  for (const [at, name] of names.entries()) {
    const old = instances.get(name) ?? assert.fail()
    const gone = once(old, 'exit')
    old.kill('SIGTERM')
    assert.deepEqual(await gone, [0, null])
    // A replacement under another name and address, as a ReplicaSet makes it.
    instances.set(name, await instance(`${name}-new`, `127.0.3.${at + 101}`))
    // Only then goes the next, as a rollout waits for what is new to be ready: whoever calls it has heard as well that the old one has left.
    await until(`${name}-new is called`, () => load.answered(`${name}-new`) > 0)
    const sent = load.sent()
    await until('a second of load has passed', () => load.sent() > sent + PER_SECOND / 2)
  }
  const { failed, sent, byVersion } = await load.stop()
  assert.deepEqual(failed, [])
  assert.ok(sent > PER_SECOND, String(sent))
  for (const name of names) assert.ok((byVersion.get(`${name}-new`) ?? 0) > 0, `${name}-new got nothing of ${JSON.stringify([...byVersion])}`)
})
