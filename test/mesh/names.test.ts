import assert from 'node:assert/strict'
import { Resolver } from 'node:dns/promises'
import { test } from 'node:test'
import { startPlane } from '../parts/control-plane.ts'
import { freePort } from '../parts/free-port.ts'
import { proxyProcesses } from '../parts/proxy-process.ts'
import { capabilitiesOf, withoutCapabilities } from '../parts/without-capabilities.ts'
import { until } from './shop.ts'

const entry = (name: string, more: object = {}) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: { name, namespace: 'prod' },
  spec: { hosts: [`${name}.db.example.com`], ports: [{ number: 5432, name: 'tcp', protocol: 'TCP' }], resolution: 'DNS', ...more },
})

test('a sidecar answers look-ups with what the control plane tells: addresses that it allocates and shows, as they come and go, of what the workload sees; it needs no capability', async (t) => {
  const before = withoutCapabilities()
  if (before === undefined) t.diagnostic('with all capabilities: none can be taken away here, for want of setpriv or of Linux')
  const world = await startPlane()
  t.after(() => world.close())
  const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'cart', namespace: 'prod' }, spec: { clusterIP: '10.96.0.7', selector: { app: 'cart' }, ports: [{ name: 'http', port: 80 }] } }
  const hidden = { ...entry('hidden', { exportTo: ['.'] }), metadata: { name: 'hidden', namespace: 'other' } }
  await world.apply(...['prod', 'other'].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })), service, entry('orders'), hidden)
  const proxies = await proxyProcesses(world, 'prod', 'client', before ?? [])
  t.after(() => proxies.close())
  const [dns, outbound] = [await freePort(), await freePort()]
  const client = await proxies.start('client', { WEFT_DNS: `127.0.0.1:${dns}`, WEFT_OUTBOUND: `127.0.0.1:${outbound}` })
  if (before !== undefined) assert.deepEqual(capabilitiesOf(client.pid ?? 0), [])
  const resolver = new Resolver({ timeout: 60_000, tries: 1 })
  resolver.setServers([`127.0.0.1:${dns}`])

  assert.deepEqual(await resolver.resolve4('cart.prod'), ['10.96.0.7'])
  const [orders] = await resolver.resolve4('orders.db.example.com')
  const { items } = (await (await world.rest('/resources?kind=ServiceEntry')).json()) as { items: { metadata: { name: string }; status: { addresses?: { value: string; host: string }[] } }[] }
  const shown = items.find((one) => one.metadata.name === 'orders')?.status.addresses
  assert.deepEqual(shown?.map((one) => one.host), ['orders.db.example.com', 'orders.db.example.com'])
  assert.equal(shown?.[0]?.value, orders)
  assert.match(orders ?? '', /^240\.240\./)
  assert.match(shown?.[1]?.value ?? '', /^2001:2::/)
  // What the workload does not see is for others to know.
  await assert.rejects(resolver.resolve4('hidden.db.example.com'))

  await world.apply(entry('stock'))
  await until('the new name is known', async () => (await resolver.resolve4('stock.db.example.com').catch(() => [])).length === 1)
  assert.deepEqual(await resolver.resolve4('orders.db.example.com'), [orders])
  await world.apply({ ...entry('stock'), spec: { ...entry('stock').spec, addresses: ['192.0.2.9'] } })
  await until('its own address counts', async () => (await resolver.resolve4('stock.db.example.com'))[0] === '192.0.2.9')
})
