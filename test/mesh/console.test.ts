import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Browser, type BrowserContext, type Page, chromium } from 'playwright-core'
import type { Topology } from '#core/contract/topology.ts'
import { percent, rate } from '#console/format/quantity.ts'
import { eventParser } from '#console/live/event-parser.ts'
import { chromiumArguments, installChromium } from '#test/parts/chromium.ts'
import { Shop, until } from './shop.ts'
import { split } from './shop-configuration.ts'

const order = 'service/order-service.prod.svc.cluster.local'

describe('the console on a running shop', () => {
  const shop = new Shop({ engine: 'weft', database: 'pglite', rate: 40 })
  let browser: Browser
  let context: BrowserContext
  let page: Page
  const wrong: string[] = []

  before(async () => {
    const path = await installChromium((line) => process.stderr.write(`${line}\n`))
    await shop.start()
    browser = await chromium.launch({ executablePath: path, args: chromiumArguments() })
    context = await browser.newContext({ viewport: { width: 1440, height: 860 } })
    page = await context.newPage()
    page.on('pageerror', (error) => wrong.push(String(error)))
    page.on('console', (message) => {
      // While the control plane is away the browser itself says that it cannot load.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) wrong.push(message.text())
    })
    const address = /http:\/\/\S+\/#key=\S+/.exec(shop.output)?.[0]
    assert.ok(address, shop.output)
    await page.goto(address)
    await page.getByRole('button', { name: 'Sign in with this key' }).click()
  })
  after(async () => {
    await browser?.close()
    await shop.stop()
    shop.remove()
  })

  const graph = () => page.getByRole('group', { name: 'Topology' })
  const words = (name: RegExp): Promise<string> => graph().getByRole('button', { name }).innerText()
  /** Words of the button, once they are as wanted. */
  const reached = async (name: RegExp, wanted: RegExp, timeoutMs = 240_000): Promise<void> => {
    await until(`the page says ${wanted}`, async () => (await graph().getByRole('button', { name }).count()) === 1 && wanted.test(await words(name)), timeoutMs)
  }
  const show = async (screen: 'Topology' | 'Proxies' | 'Objects'): Promise<void> => {
    const tab = page.getByRole('link', { name: screen })
    await tab.click()
    await page.locator('nav a[aria-current="page"]', { hasText: screen }).waitFor()
  }

  test('the printed address signs in, and the key is gone from the address bar', async () => {
    await page.locator('.link.live').waitFor()
    assert.equal(page.url().includes('weft_key'), false)
    await page.getByRole('button', { name: 'demo/shop' }).waitFor()
  })

  test('the topology shows every service with its versions, the client and the gateway, with locks and numbers', async () => {
    await show('Topology')
    await reached(/^service order-service in prod/, /, v1 [\d.]+%, v2 [\d.]+%/)
    await reached(/^service payment-service in prod/, /v1 100%/)
    await reached(/^workload client in prod/, /sends [\d.]+\/s/)
    await reached(/^gateway ingressgateway in istio-ingress/, /ingressgateway/)
    for (const call of [/^client calls order-service v1/, /^client calls order-service v2/, /^order-service calls payment-service v1/]) await reached(call, /[\d.]+\/s, (.*, )?p50 \/ p99 [\d.]+.*, all over mutual TLS$/)
    await until('the summary counts the proxies', async () => /Mutual TLS\s+100%[\s\S]*Proxies\s+5 in sync/.test(await page.getByLabel('The mesh in numbers').innerText()))
  })

  test('the rates move, are those that the control plane reports, and nothing flickers', async () => {
    await show('Topology')
    const reports = new Set<string>()
    const end = new AbortController()
    const heard = followTopology(shop, end.signal, (topology) => reports.add(orderWords(topology)))
    await page.evaluate(() => {
      const removed: string[] = []
      Object.assign(window, { removedFromGraph: removed })
      const graph = document.querySelector('[aria-label="Topology"]')
      if (graph !== null) new MutationObserver((changes) => changes.forEach((change) => change.removedNodes.forEach((node) => node.nodeType === Node.ELEMENT_NODE && removed.push(node.textContent ?? '')))).observe(graph, { childList: true, subtree: true })
    })
    const seen = new Set<string>()
    await until('the page shows three reports of the control plane', async () => {
      const said = await words(/^service order-service/)
      if (reports.has(said)) seen.add(said)
      return seen.size >= 3
    })
    end.abort()
    await heard
    assert.deepEqual(await page.evaluate(() => Reflect.get(window, 'removedFromGraph')), [])
  })

  test('a changed weight shows in the split', async () => {
    await show('Topology')
    await shop.apply(split(0, 100))
    await reached(/^service order-service/, /v2 (100|9\d)%|v2 >99/)
    await shop.apply(split(50, 50))
    await reached(/^service order-service/, /v1 [3-6]\d%, v2 [3-6]\d%/)
  })

  test('every proxy is in sync on the page', async () => {
    await show('Proxies')
    const rows = page.locator('table.proxies tbody')
    await until('five proxies are listed', async () => (await rows.count()) === 5)
    for (const name of ['client', 'ingressgateway', 'order-v1', 'order-v2', 'payment-v1']) {
      await until(`${name} is in sync`, async () => /synced/.test(await rows.filter({ hasText: name }).innerText()) && !/stale|rejected/.test(await rows.filter({ hasText: name }).innerText()))
    }
  })

  test('every object is shown as the YAML that is stored, the key of a Secret hidden', async () => {
    await show('Objects')
    const links = page.locator('nav[aria-label="Objects"] a, aside a, .objects a').filter({ hasNotText: 'All objects' })
    await until('the objects are listed', async () => (await links.count()) >= 10)
    const hrefs = [...new Set(await links.evaluateAll((all) => all.map((one) => one.getAttribute('href') ?? '')))].filter((href) => href.includes('/'))
    assert.ok(hrefs.length >= 10, hrefs.join(' '))
    const kinds = new Set<string>()
    for (const href of hrefs) {
      await page.evaluate((to) => (location.hash = to.slice(to.indexOf('#'))), href)
      const name = decodeURIComponent(href).split('/').at(-1) ?? ''
      await page.locator('article.object h2', { hasText: name }).waitFor()
      const yaml = page.locator('pre.yaml')
      await until(`the YAML of ${href}`, async () => (await yaml.innerText()).includes(`name: ${name}`))
      const text = await yaml.innerText()
      kinds.add(/^kind: (\w+)$/m.exec(text)?.[1] ?? '')
      assert.equal(text.includes('PRIVATE KEY'), false)
      if (text.includes('kind: Secret')) {
        assert.match(text, /tls.key: KGhpZGRlbik= # \(hidden\)/)
        assert.doesNotMatch(text, /LS0tLS1CRUdJTiB/)
      }
    }
    assert.deepEqual([...kinds].sort(), ['AuthorizationPolicy', 'DestinationRule', 'Gateway', 'Namespace', 'PeerAuthentication', 'Secret', 'Service', 'VirtualService'])
  })

  test('when the control plane is killed the page says so and keeps its picture, and comes back by itself', async () => {
    await show('Topology')
    await page.locator('.link.live').waitFor()
    await shop.stop('SIGKILL')
    await page.getByText('Reconnecting…').waitFor()
    assert.equal(await graph().getByRole('button', { name: /^service order-service/ }).count(), 1)
    await shop.start()
    await page.locator('.link.live').waitFor({ timeout: 240_000 })
    await reached(/^service order-service/, /in prod, [1-9]/)
    assert.equal(await page.getByRole('alert').count(), 0)
  })

  test('the page wrote no error, and kept its own security policy', () => {
    assert.deepEqual(wrong, [])
  })
})

describe('the console on a shop of stock Envoys', () => {
  const shop = new Shop({ engine: 'envoy', database: 'pglite', rate: 20 })
  let browser: Browser
  before(async () => {
    const path = await installChromium((line) => process.stderr.write(`${line}\n`))
    await shop.start()
    browser = await chromium.launch({ executablePath: path, args: chromiumArguments() })
  })
  after(async () => {
    await browser?.close()
    await shop.stop()
    shop.remove()
  })

  test('rates and errors are those that Envoy counts; what it does not time is said to be not reported', async () => {
    await shop.behave('order-v2', { status: 500 })
    const page = await browser.newPage()
    await page.goto(`${shop.ready.rest}/#key=${shop.ready.apiKey}&mesh=demo/shop`)
    await page.getByRole('button', { name: 'Sign in with this key' }).click()
    const service = page.getByRole('button', { name: /^service order-service in prod, [\d.]+\/s, [\d.]+% errors, v1 [\d.]+%, v2 [\d.]+%/ })
    await service.waitFor({ state: 'attached', timeout: 240_000 })
    await service.press('Enter')
    const details = page.getByRole('complementary', { name: 'Details' })
    await until('latencies are said to be missing', async () => /p50\s+not reported\s+p99\s+not reported/.test(await details.innerText()))
    assert.match(await page.getByLabel('The mesh in numbers').innerText(), /Mutual TLS\s+not reported/)
  })
})

/** How the page names order-service when it shows this report. */
function orderWords(topology: Topology): string {
  const node = topology.nodes.find((one) => one.id === order)
  if (!node) return ''
  const total = node.versions.reduce((sum, version) => sum + version.requestsPerSecond, 0)
  const versions = node.versions.map((version) => `${version.version} ${percent(version.requestsPerSecond / total)}`)
  return ['service order-service in prod', rate(node.requestsPerSecond), ...(node.errorShare > 0 ? [`${percent(node.errorShare)} errors`] : []), ...versions].join(', ')
}

async function followTopology(shop: Shop, signal: AbortSignal, listener: (topology: Topology) => void): Promise<void> {
  const { rest, apiKey, organization, mesh } = shop.ready
  const response = await fetch(`${rest}/api/v1/organizations/${organization}/meshes/${mesh}/events`, { headers: { authorization: `Bearer ${apiKey}` }, signal })
  const parser = eventParser()
  const decoder = new TextDecoder()
  try {
    for await (const chunk of response.body ?? []) {
      for (const event of parser.push(decoder.decode(chunk, { stream: true }))) if (event.type === 'topology') listener(JSON.parse(event.data) as Topology)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
