import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CLUSTER, ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import { nodeNamed } from '#api/serve/raw-client.ts'
import { startPlane } from '../parts/control-plane.ts'

const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'orders', namespace: 'prod' }, spec: { selector: { app: 'orders' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] } }
const virtualService = (timeout: string) => ({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'orders', namespace: 'prod' }, spec: { hosts: ['orders'], http: [{ timeout, route: [{ destination: { host: 'orders' } }] }] } })

interface Programmed {
  readonly reason: string
  readonly message: string
}

test('who refuses what is told to those who watch, with its author, stands at the object, and goes with the next version; each change has its time', async (t) => {
  const world = await startPlane()
  await world.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } }, service, virtualService('1s'))
  const { client, bearer } = await world.proxy('prod', 'caller')
  const stream = client.delta({ bearer })
  stream.ask({ node: nodeNamed('sidecar~127.0.0.1~caller.prod~prod.svc.cluster.local', { NAMESPACE: 'prod', WEFT_OUTBOUND: '127.0.0.1:15001' }), type: CLUSTER })
  await stream.take()
  const routeName = 'outbound|80||orders.prod.svc.cluster.local'
  stream.ask({ type: ROUTE_CONFIGURATION, subscribe: [routeName] })
  await stream.take()

  const watching = await world.rest('/events')
  const reader = watching.body?.getReader()
  t.after(async () => {
    await reader?.cancel()
    await world.close()
  })
  const heard = async (event: string): Promise<Record<string, unknown>> => {
    let text = ''
    for (;;) {
      const found = new RegExp(`event: ${event}\ndata: (.*)\n\n`).exec(text)?.[1]
      if (found !== undefined) return JSON.parse(found) as Record<string, unknown>
      const { value, done } = (await reader?.read()) ?? { value: undefined, done: true }
      if (done) throw new Error(`the events ended before ${event}: ${text}`)
      text += Buffer.from(value ?? []).toString()
    }
  }
  await heard('proxies')

  const refusedRevision = await world.apply(virtualService('2s'))
  stream.nack(await stream.next(), `${routeName}: no such timeout`)
  const rejection = await heard('rejection')
  assert.deepEqual([rejection['proxy'], rejection['resources'], rejection['revision']], ['caller.prod', [routeName], refusedRevision])
  assert.deepEqual((rejection['objects'] as { object: string; author: string }[]).find((one) => one.object === 'VirtualService/prod/orders')?.author, 'tester')
  const programmed = async (): Promise<Programmed> => {
    const { items } = (await (await world.rest('/resources?kind=VirtualService')).json()) as { items: { status: { conditions: (Programmed & { type: string })[] } }[] }
    const found = items[0]?.status.conditions.find((one) => one.type === 'Programmed')
    assert.ok(found)
    return found
  }
  const bad = await programmed()
  assert.equal(bad.reason, 'Rejected')
  assert.match(bad.message, /no such timeout/)

  const goodRevision = await world.apply(virtualService('3s'))
  const waiting = world.rest(`/revisions/${goodRevision}/wait?timeout=5m`)
  await stream.take()
  const waited = (await (await waiting).json()) as { acknowledged: number; p99Ms: number | null; rejected: unknown[] }
  assert.deepEqual([waited.acknowledged, waited.rejected], [1, []])
  assert.ok(waited.p99Ms !== null && waited.p99Ms > 0 && waited.p99Ms < 300_000, String(waited.p99Ms))
  const { items } = (await (await world.rest('/history?limit=2')).json()) as { items: { revision: number; push: { proxies: number; rejected: number; maxMs: number } | null }[] }
  assert.deepEqual(items.map((one) => [one.revision, one.push?.proxies, one.push?.rejected]), [[goodRevision, 1, 0], [refusedRevision, 1, 1]])
  const metrics = await (await fetch(`http://127.0.0.1:${world.plane.monitoring.port}/metrics`)).text()
  assert.match(metrics, /weft_serve_nacks_total\{type="RouteConfiguration"\} 1/)
  assert.match(metrics, /weft_serve_push_duration_seconds_count [1-9]/)
  assert.match(metrics, /weft_serve_sent_bytes_total\{type="Cluster"\} [1-9]/)
  // A picture of the proxies serves for a moment.
  while ((await programmed()).reason !== 'Programmed') await new Promise((resolve) => setTimeout(resolve, 50))
})
