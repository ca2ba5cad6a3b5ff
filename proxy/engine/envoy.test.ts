import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { type TestContext, test } from 'node:test'
import { systemDoors } from '#core/time/system.ts'
import { ENVOY_VERSIONS, installEnvoy } from '#infra/parts/envoy.ts'
import { freePort } from '#test/parts/free-port.ts'
import { jsonLog } from '../admin/log.ts'
import { readBootstrap } from '../bootstrap/read-bootstrap.ts'
import { TestControlPlane } from '../testing/control-plane.ts'
import { type RunningEnvoy, runEnvoy } from './envoy.ts'

async function start(t: TestContext, plane: TestControlPlane, version: string): Promise<{ envoy: RunningEnvoy; admin: number; lines: { event: string }[] }> {
  const admin = await freePort()
  const lines: { event: string }[] = []
  const bootstrap = readBootstrap(
    {
      WEFT_XDS: plane.target,
      WEFT_XDS_ROOT: 'root',
      WEFT_JOIN_TOKEN: plane.token,
      WEFT_NAME: 'order-v1',
      WEFT_NAMESPACE: 'prod',
      WEFT_SERVICE_ACCOUNT: 'order-service',
      WEFT_ADDRESS: '127.0.0.1',
      WEFT_ADMIN: `127.0.0.1:${admin}`,
      WEFT_ENGINE: 'envoy',
      WEFT_ENVOY: await installEnvoy(version),
      WEFT_ENVOY_ARGUMENTS: '--concurrency 1',
      WEFT_DRAIN_SECONDS: '1',
    },
    'sidecar',
    { readFile: () => plane.authority.rootPem, ownAddress: () => '127.0.0.1', hostName: () => 'h', version: '0' },
  )
  assert.ok(bootstrap.engine.kind === 'envoy')
  const log = jsonLog(systemDoors.clock, (line) => lines.push(JSON.parse(line)))
  const envoy = await runEnvoy(systemDoors, bootstrap, bootstrap.engine, { log, readFile: () => '', memory: () => process.memoryUsage(), quit() {} })
  t.after(() => envoy.stop())
  return { envoy, admin, lines }
}

async function read(port: number, path: string): Promise<string> {
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => get({ host: '127.0.0.1', port, path, agent: false }, resolve).on('error', reject))
    let body = ''
    for await (const part of response) body += String(part)
    return body
  } catch {
    // Not listening yet.
    return ''
  }
}

async function until<T>(look: () => Promise<T> | T, good: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await look()
    if (good(value)) return value
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

for (const version of ENVOY_VERSIONS) test(`Envoy ${version} gets its identity from the agent, reaches the control plane with it, is LIVE, takes renewals, comes back after a crash and leaves with the agent`, async (t) => {
  const plane = new TestControlPlane()
  await plane.start()
  t.after(() => plane.stop())
  plane.lifetimeMs = 8000
  const { envoy, admin, lines } = await start(t, plane, version)
  await until(() => read(admin, '/ready'), (body) => body.startsWith('LIVE'))
  const [session] = plane.sessions
  assert.equal(session?.uri, 'URI:spiffe://cluster.local/ns/prod/sa/order-service')
  assert.equal(session.nodeId, 'sidecar~127.0.0.1~order-v1.prod~prod.svc.cluster.local')
  assert.match(await read(admin, '/certs'), /spiffe:\/\/cluster\.local\/ns\/prod\/sa\/order-service/)

  await until(() => envoy.identity.counts.issued, (issued) => issued >= 2)
  const serial = envoy.identity.now?.serial.toLowerCase().replace(/^0+/, '') ?? ''
  await until(() => read(admin, '/certs'), (body) => new RegExp(`"serial_number": "0*${serial}"`).test(body))

  const pid = envoy.pid()
  assert.ok(pid)
  process.kill(pid, 'SIGKILL')
  await until(() => envoy.pid(), (next) => next !== undefined && next !== pid)
  await until(() => read(admin, '/ready'), (body) => body.startsWith('LIVE'))
  assert.equal(lines.filter(({ event }) => event === 'envoy.ended').length, 1)

  const last = envoy.pid()
  await envoy.stop()
  assert.ok(last && !existsSync(`/proc/${last}`))
})
