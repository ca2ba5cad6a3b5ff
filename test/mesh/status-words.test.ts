import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeNamed } from '#api/serve/raw-client.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, HEALTH_INFORMATION, ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import { startPlane } from '../parts/control-plane.ts'
import { runCommand, until, type Ran } from './shop.ts'

const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'orders', namespace: 'prod' }, spec: { selector: { app: 'orders' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] } }
const virtualService = (timeout: string) => ({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'orders', namespace: 'prod' }, spec: { hosts: ['orders'], http: [{ timeout, route: [{ destination: { host: 'orders' } }] }] } })
const routeName = 'outbound|80||orders.prod.svc.cluster.local'

/** Two clients that speak discovery themselves, so that what stands is what they did. */
async function ordersAsked(t: import('node:test').TestContext) {
  const world = await startPlane()
  t.after(() => world.close())
  const key = await world.plane.createApiKey(await world.plane.ensureOrganization('demo'), 'operator', 'owner')
  const weft = (args: readonly string[], input?: string): Promise<Ran> =>
    runCommand(process.execPath, ['--disable-warning=ExperimentalWarning', 'cli/main.ts', ...args], { env: { WEFT_SERVER: `http://127.0.0.1:${world.plane.rest.port}`, WEFT_API_KEY: key, WEFT_MESH: 'demo/shop' }, ...(input === undefined ? {} : { input }) })
  await world.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } }, service, virtualService('1s'))
  const connect = async (name: string) => {
    const { client, bearer } = await world.proxy('prod', 'caller')
    const stream = client.delta({ bearer })
    stream.ask({ node: nodeNamed(`sidecar~127.0.0.1~${name}.prod~prod.svc.cluster.local`, { NAMESPACE: 'prod', CLUSTER_ID: 'east', WEFT_OUTBOUND: '127.0.0.1:15001' }), type: CLUSTER })
    await stream.take()
    return stream
  }
  const states = async (name: string): Promise<string[]> => {
    const { items } = (await (await world.rest('/proxies')).json()) as { items: { node: { name: string }; types: { type: string; state: string }[] }[] }
    return items.find(({ node }) => node.name === name)?.types.map(({ type, state }) => `${type.slice(type.lastIndexOf('.') + 1)} ${state}`).sort() ?? []
  }
  const stand = (name: string, wanted: readonly string[]): Promise<void> => until(`${name} stands at ${wanted.join(', ')}`, async () => (await states(name)).join() === wanted.join())
  return { world, weft, connect, stand }
}

test('proxy-status has a row a proxy with the types that it asked for, and with -v a column a type with its state and since when', async (t) => {
  const { weft, connect, stand } = await ordersAsked(t)
  const [good, bad] = [await connect('good'), await connect('bad')]
  // Envoy begins with a question without names, which nothing answers.
  good.ask({ type: CLUSTER_LOAD_ASSIGNMENT })
  for (const stream of [good, bad]) stream.ask({ type: ROUTE_CONFIGURATION, subscribe: [routeName] })
  await good.next()
  bad.nack(await bad.next(), `${routeName}: no such timeout`)
  await stand('good', ['Cluster SYNCED', 'ClusterLoadAssignment NOT_SENT', 'RouteConfiguration STALE'])
  await stand('bad', ['Cluster SYNCED', 'RouteConfiguration REJECTED'])

  const plain = await weft(['proxy-status'])
  assert.equal(plain.code, 1, plain.stderr)
  const [header, ...rows] = plain.stdout.trimEnd().split('\n').map((line) => line.split(/ {3,}/))
  assert.deepEqual(header, ['NAME', 'CLUSTER', 'VERSION', 'SUBSCRIBED TYPES', 'ENGINE', 'STATUS'])
  assert.deepEqual(rows.map((row) => [row[0], row[1], row.at(-1)]), [['bad.prod', 'east', 'REJECTED'], ['good.prod', 'east', 'STALE']])
  assert.match(plain.stdout, /^good\.prod .* 3 \(CDS,EDS,RDS\) /m)
  assert.match(plain.stderr, /^bad\.prod rejects outbound\|80\|\|orders\.prod\.svc\.cluster\.local: .*no such timeout\n {2}from .*VirtualService\/prod\/orders/m)

  good.ask({ type: HEALTH_INFORMATION, error: 'its traffic is not captured: outbound connections over IPv6 are not redirected' })
  await until('its word is heard', async () => /^good\.prod is not ready: its traffic is not captured: outbound connections over IPv6/m.test((await weft(['proxy-status'])).stderr))
  good.ask({ type: HEALTH_INFORMATION })
  await until('it has taken it back', async () => !(await weft(['proxy-status'])).stderr.includes('not ready'))

  const verbose = await weft(['proxy-status', '-v'])
  assert.match(verbose.stdout, /^NAME +CLUSTER +VERSION +CDS +LDS +EDS +RDS +SRDS +SDS +ENGINE +STATUS$/m)
  assert.match(verbose.stdout, /^good\.prod +east +.*SYNCED \(\d+[smhd]\) +- +NOT SENT \(\d+[smhd]\) +STALE \(\d+[smhd]\) +- +- +\S+ +STALE$/m)
  assert.match(verbose.stdout, /^bad\.prod +east +.*SYNCED \(\d+[smhd]\) +- +- +REJECTED \(\d+[smhd]\) +- +- +\S+ +REJECTED$/m)
})

test('apply --wait tells how many acknowledged and in what time, or who did not, and history the time to the last answer', async (t) => {
  const { weft, connect } = await ordersAsked(t)
  const [first, second] = [await connect('first'), await connect('second')]
  for (const stream of [first, second]) {
    stream.ask({ type: ROUTE_CONFIGURATION, subscribe: [routeName] })
    await stream.take()
  }
  const applying = (timeout: string, wait: string): Promise<Ran> => weft(['apply', '-f', '-', wait], JSON.stringify(virtualService(timeout)))
  const both = applying('2s', '--wait=5m')
  await Promise.all([first.take(), second.take()])
  const done = await both
  assert.equal(done.code, 0, done.stderr)
  assert.match(done.stderr, /^acknowledged by 2 proxies \(p50 \d+ ms, p99 \d+ ms\)$/m)

  const one = applying('3s', '--wait=1s')
  await first.take()
  const unanswered = await second.next()
  const late = await one
  assert.equal(late.code, 6, late.stderr)
  assert.match(late.stderr, /^acknowledged by [01] prox.*\nnot acknowledged in time by .*second\.prod/m)
  assert.match((await weft(['history', '--limit', '1'])).stdout, / -$/m, 'nothing is told before the last has answered')
  second.ack(unanswered)
  let told = ''
  await until('the history has the time to the last answer', async () => / \d+ms \(2\)/.test((told = (await weft(['history', '--limit', '2'])).stdout)) && !/ -$/m.test(told))
  assert.match(told, /^REVISION +CHANGE +OBJECT +AUTHOR +AGE +PUSHED/m)
  assert.equal(told.match(/ \d+ms \(2\)/g)?.length, 2, told)
})
