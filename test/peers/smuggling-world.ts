import assert from 'node:assert/strict'
import net from 'node:net'
import type { TestContext } from 'node:test'
import type { Route } from '#core/plan/route.ts'
import { ask, deadPort, netServer, startProxy, type TestProxy } from '#proxy/testing/peers.ts'
import { chainPlan, forward, httpPlan, listenerPlan, routePlan, tablePlan } from '#proxy/testing/plan.ts'
import type { Watched } from './smuggling-upstreams.ts'

/** Where in a mesh an attack comes in. */
export const places = ['outbound', 'inbound', 'gateway'] as const
type Place = (typeof places)[number]

/** How many attacks go at once. */
const BATCH = 12
const PATIENCE_MS = 120_000

export async function startPlace(t: TestContext, upstream: Watched, place: Place): Promise<TestProxy> {
  // One connection upstream, which every request shares: whatever an attack leaves on it, the next request meets.
  const limits = { connectionsMax: 1, pendingMax: 1024, requestsMax: 1024, retriesMax: 3 }
  const http = httpPlan(tablePlan([routePlan('/', forward('up'))]), {
    accessLog: [{ path: '/dev/stdout', json: true, fields: [] }],
    // As Istio's gateways are: they know who calls by the connection alone, and take paths apart.
    ...(place === 'gateway' && { useRemoteAddress: true, mergeSlashes: true, escapedSlashes: 'unescape-forward' }),
  })
  return startProxy(t, { listener: listenerPlan(place, [chainPlan(http)], { direction: place }), clusters: [['up', [upstream.port], { limits }]] })
}

/** A listener that takes CONNECT: tunnels to `a` end at a server that notes their bytes, and all else goes to the upstream. */
export async function startTunnels(t: TestContext, upstream: Watched): Promise<{ proxy: TestProxy; tunnelled: string[] }> {
  const tunnelled: string[] = []
  const [sink, dead] = await Promise.all([netServer(t, (socket) => socket.on('data', (bytes: Buffer) => tunnelled.push(bytes.toString('latin1')))), deadPort()])
  const to = (host: string, cluster: string): Route => ({ ...routePlan('/', forward(cluster, { endsTunnels: true })), words: `CONNECT ${host}`, matches: (request) => request.method === 'CONNECT' && request.authority.startsWith(host) })
  const http = httpPlan(tablePlan([to('a', 'sink'), to('dead', 'dead'), routePlan('/', forward('up'))]), { connects: true, accessLog: [{ path: '/dev/stdout', json: true, fields: [] }] })
  const proxy = await startProxy(t, { listener: listenerPlan('tunnels', [chainPlan(http)], { direction: 'outbound' }), clusters: [['up', [upstream.port], { limits: { connectionsMax: 1, pendingMax: 1024, requestsMax: 1024, retriesMax: 3 } }], ['sink', [sink.port]], ['dead', [dead]]] })
  return { proxy, tunnelled }
}

/** Sends an attack and reads until the proxy closes, or has answered and is quiet again: it then waits for more, and gets none. */
export function attack(port: number, bytes: string | Buffer): Promise<string> {
  return new Promise((resolve) => {
    let received = ''
    const socket = net.connect(port, '127.0.0.1', () => socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes))
    const end = (): void => {
      clearTimeout(quiet)
      socket.destroy()
      resolve(received)
    }
    let quiet = setTimeout(end, 60)
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
      clearTimeout(quiet)
      quiet = setTimeout(end, 25)
    })
    socket.on('error', end)
    socket.on('close', end)
  })
}

/** Whatever was sent: the next client gets its own answer, and the server took for requests exactly what the proxy did. */
export async function assertNoDesync(proxy: TestProxy, upstream: Watched, name: string, victim: string): Promise<void> {
  const answer = await ask(proxy.port, victim)
  assert.deepEqual([answer.status, answer.body, answer.headers['x-path']], [200, victim, victim], name)
  const never = upstream.seen.find((one) => one.includes('/never'))
  assert.equal(never, undefined, `${name}: ${String(never)} reached the server`)
  // Who attacked may be gone before the proxy has written its line.
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const unknown = await strangers(proxy, upstream)
    if (unknown.length === 0) return
    assert.ok(performance.now() < deadline, `${name}: the server took ${JSON.stringify(unknown)} for requests, and the proxy did not`)
    await new Promise((tick) => setTimeout(tick, 20))
  }
}

/** What the server took for requests, and the proxy did not. The proxy may have sent what the server did not take. */
async function strangers(proxy: TestProxy, upstream: Watched): Promise<string[]> {
  const left = new Map<string, number>()
  for (const line of await proxy.log()) {
    if (line['upstream_host'] === '-' || line['upstream_host'] === null) continue
    const request = `${String(line['method'])} ${String(line['path'])}`
    left.set(request, (left.get(request) ?? 0) + 1)
  }
  return upstream.seen.filter((one) => {
    const count = left.get(one) ?? 0
    left.set(one, count - 1)
    return count <= 0
  })
}

interface Attack {
  readonly name: string
  readonly bytes: string | Buffer
}

/** All of them, some at a time. */
export async function attackAll(t: TestContext, proxy: TestProxy, upstream: Watched, attacks: readonly Attack[]): Promise<void> {
  for (let from = 0; from < attacks.length; from += BATCH) {
    const batch = attacks.slice(from, from + BATCH)
    await Promise.all(batch.map(({ bytes }) => attack(proxy.port, bytes)))
    await assertNoDesync(proxy, upstream, batch.map(({ name }) => name).join('; '), `/victim-${from}`)
  }
  t.diagnostic(`${attacks.length} attacks, ${upstream.seen.length} requests reached the server`)
}
