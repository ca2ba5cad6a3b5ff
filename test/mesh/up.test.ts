import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFileSync, readdirSync, statSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { startTicksOf } from '#cli/up/process-record.ts'
import type { Topology } from '#core/contract/topology.ts'
import { type Ready, root, runCommand, send, Shop, until } from './shop.ts'

const isOpen = (address: string): Promise<boolean> =>
  new Promise((resolve) => {
    const [host = '', port = ''] = address.split(':')
    const socket = net.connect({ host, port: Number(port) })
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })

const addressesOf = (ready: Ready): string[] => [
  new URL(ready.rest).host,
  ready.xds.address,
  ready.gateway.https,
  ready.gateway.http,
  ready.gateway.admin,
  ...ready.workloads.flatMap((one) => [one.app, one.inbound, one.outbound, one.admin]).filter((address) => address !== undefined),
]

/** Ids of all processes that a data folder's supervisor has noted. */
const processesOf = (shop: Shop): number[] => (JSON.parse(readFileSync(path.join(shop.dir, 'processes.json'), 'utf8')) as { pid: number }[]).map((one) => one.pid)

const weftUp = (...args: string[]) => runCommand(process.execPath, ['--disable-warning=ExperimentalWarning', 'cli/main.ts', 'up', ...args])

/** Ends it, and proves that nothing is left. What hangs is killed after seconds; minutes are for slow machines. */
async function endsClean(shop: Shop, signal: NodeJS.Signals): Promise<void> {
  const pids = [shop.ready.pid, ...processesOf(shop)]
  assert.ok(pids.length >= 10, 'every process is noted')
  const addresses = addressesOf(shop.ready)
  const began = performance.now()
  assert.equal(await shop.stop(signal), 0, shop.output)
  const tookMs = performance.now() - began
  assert.ok(tookMs < 300_000, `${Math.round(tookMs)} ms`)
  for (const pid of pids) assert.equal(startTicksOf(pid), undefined, `process ${pid} is still there`)
  for (const address of addresses) assert.equal(await isOpen(address), false, `${address} is still open`)
}

describe('weft up', () => {
  const shop = new Shop({ engine: 'weft', database: 'pglite', rate: 20 })
  before(() => shop.start())
  after(async () => {
    await shop.stop()
    shop.remove()
  })

  test('the ready file says all that the contract promises', async () => {
    const { ready } = shop
    assert.deepEqual(Object.keys(ready).sort(), ['apiKey', 'gateway', 'kubeconfig', 'mesh', 'organization', 'pid', 'rest', 'workloads', 'xds'])
    assert.match(ready.rest, /^http:\/\/127\.0\.0\.1:\d+$/)
    assert.match(ready.apiKey, /^weft_key_/)
    assert.deepEqual([ready.organization, ready.mesh], ['demo', 'shop'])
    assert.notEqual(startTicksOf(ready.pid), undefined)
    assert.match(readFileSync(ready.kubeconfig, 'utf8'), /\/k8s\/demo\/shop/)
    assert.equal(new X509Certificate(readFileSync(ready.xds.rootCertificate)).ca, true)
    assert.deepEqual(ready.workloads.map((one) => `${one.name} ${one.namespace} ${one.serviceAccount} ${one.engine}`).sort(), [
      'client prod client weft',
      'order-v1 prod order-service weft',
      'order-v2 prod order-service weft',
      'payment-v1 prod payment-service weft',
    ])
    for (const one of ready.workloads) {
      assert.notEqual(startTicksOf(one.pid), undefined, one.name)
      assert.match(one.outbound, /^127\.0\.\d+\.\d+:15001$/)
      assert.match(one.admin, /^127\.0\.\d+\.\d+:15000$/)
      if (one.name === 'client') assert.deepEqual([one.app, one.inbound], [undefined, undefined])
      else assert.deepEqual([one.app.endsWith(':8080'), one.inbound.endsWith(':15006')], [true, true])
    }
    for (const address of addressesOf(ready)) assert.equal(await isOpen(address), true, address)
    assert.equal((await send(shop.workload('client').outbound, { host: 'order-service:8080', path: '/orders' })).status, 200)
  })

  test('what it says is so: each step with its time, then the addresses', () => {
    assert.match(shop.output, /· starting the control plane … [\d.]+ s\n/)
    assert.match(shop.output, /· starting the gateway and the sidecars … [\d.]+ s\n/)
    assert.match(shop.output, /Weft is up, [\d.]+ s after the start\./)
    assert.match(shop.output, /The shop's client makes 20 orders a second\. A request through the gateway was answered 200\./)
    assert.ok(shop.output.includes(`${shop.ready.rest}/#key=${shop.ready.apiKey}&mesh=demo/shop`))
    assert.equal(shop.output.includes('\u001B['), false, 'no colour where there is no terminal')
  })

  test('the client begins without an error', async () => {
    await until('orders are reported', async () => (await topologyOf(shop)).edges.some((edge) => edge.requestsPerSecond > 10))
    const { edges } = await topologyOf(shop)
    assert.deepEqual(edges.filter((edge) => edge.errorShare > 0), [])
  })

  test('the data folder and what is secret in it belong to its owner alone', () => {
    const loose: string[] = []
    const walk = (folder: string): void => {
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        const file = path.join(folder, entry.name)
        if ((statSync(file).mode & 0o077) !== 0 && /key|kubeconfig|ready\.json|ports\.json|processes\.json|\.log$|^(db|logs|proxies|api-tls-cert)$/.test(entry.name)) loose.push(file)
        // What lies within a closed folder nobody else reaches.
        if (entry.isDirectory() && (statSync(file).mode & 0o077) !== 0) walk(file)
      }
    }
    walk(shop.dir)
    assert.deepEqual(loose, [])
  })

  test('a second start on the folder of a running one says who has it, and disturbs nothing', async () => {
    const ran = await weftUp('--data', shop.dir)
    assert.equal(ran.code, 1)
    assert.match(ran.stderr, new RegExp(`is open already, in process ${shop.ready.pid}[^\\n]*--data`))
    assert.equal((await send(shop.workload('client').outbound, { host: 'order-service:8080', path: '/orders' })).status, 200)
  })

  test('SIGINT ends every process and frees every port within 5 s; the next start has the same key, ports and configuration', async () => {
    const first = shop.ready
    await shop.apply(path.join(root, 'examples/shop/release/3-half.yaml'))
    await endsClean(shop, 'SIGINT')
    await shop.start()
    const { ready } = shop
    assert.equal(ready.apiKey, first.apiKey)
    assert.deepEqual(addressesOf(ready), addressesOf(first))
    const stored = JSON.parse((await shop.weft(['get', 'virtualservice', 'order-service', '-n', 'prod', '-o', 'json'])).stdout) as { spec: { http: { route: { weight: number }[] }[] } }
    assert.deepEqual(stored.spec.http.at(-1)?.route.map((one) => one.weight), [50, 50])
    await endsClean(shop, 'SIGTERM')
  })
})

describe('weft up without the shop', () => {
  test('runs a control plane and a gateway, from the port that was asked for', async (t) => {
    const base = await freeBase()
    const shop = new Shop({ engine: 'weft', database: 'pglite', flags: ['--no-shop', '--port-base', String(base)] })
    t.after(async () => {
      await shop.stop()
      shop.remove()
    })
    await shop.start()
    assert.deepEqual(shop.ready.workloads, [])
    assert.deepEqual([new URL(shop.ready.rest).port, shop.ready.xds.address, shop.ready.gateway.https], [String(base), `127.0.0.1:${base + 1}`, `127.0.0.1:${base + 3}`])
    const status = await shop.weft(['proxy-status'])
    assert.match(status.stdout, /ingressgateway\.istio-ingress/)
    const other = await weftUp('--data', path.join(shop.dir, 'other'), '--port-base', String(base))
    assert.equal(other.code, 1)
    assert.match(other.stderr, new RegExp(`port ${base} \\(rest\\) is taken`))
  })
})

async function topologyOf(shop: Shop): Promise<Topology> {
  const { rest, apiKey } = shop.ready
  return (await (await fetch(`${rest}/api/v1/organizations/demo/meshes/shop/topology`, { headers: { authorization: `Bearer ${apiKey}` } })).json()) as Topology
}

/** The first of ten ports in a row that nobody listens on. */
async function freeBase(): Promise<number> {
  for (let base = 27_000 + (process.pid % 500) * 10; ; base += 10) {
    const open = await Promise.all(Array.from({ length: 6 }, (_, index) => isOpen(`127.0.0.1:${base + index}`)))
    if (open.every((one) => !one)) return base
  }
}
