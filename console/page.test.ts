import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { buildConsole } from '#infra/build/console.ts'
import { chromiumArguments, installChromium } from '#test/parts/chromium.ts'
import { type Browser, type BrowserContext, type Page, chromium } from 'playwright-core'
import { type Replay, replayKey, startReplay } from './testing/replay-server.ts'
import { shopObjects, shopProxies, shopTopology } from './testing/shop.ts'

let directory = ''
let gzipBytes = 0
let browser: Browser
const nowMs = Date.now()

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'weft-console-'))
  gzipBytes = (await buildConsole(directory)).gzipBytes
  browser = await chromium.launch({ executablePath: await installChromium((line) => process.stderr.write(`${line}\n`)), args: chromiumArguments() })
})

after(async () => {
  await browser.close()
  await rm(directory, { recursive: true })
})

/** A page of its own over a server of its own; fails when the page wrote an error, which a breach of its security policy also is. */
async function withPage(hash: string, visit: (page: Page, replay: Replay) => Promise<void>, options: { readonly accept?: boolean } = {}): Promise<void> {
  const replay = await startReplay(directory)
  replay.documents.set('topology', shopTopology(nowMs))
  replay.documents.set('proxies', { items: shopProxies(nowMs, true), next: null })
  replay.documents.set('resources', { items: shopObjects(), next: null })
  const context: BrowserContext = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' })
  const wrong: string[] = []
  try {
    const page = await context.newPage()
    page.on('pageerror', (error) => wrong.push(String(error)))
    // What a server answers on purpose (401, 404, 503, a cut stream) the browser reports by itself; all else is ours.
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) wrong.push(message.text())
    })
    await page.goto(`${replay.url}/${hash}`)
    if (hash.startsWith('#key=') && options.accept !== false) await acceptOffer(page)
    await visit(page, replay)
    assert.deepEqual(wrong, [])
  } finally {
    await context.close()
    await replay.close()
  }
}

const acceptOffer = (page: Page): Promise<void> => page.getByRole('button', { name: 'Sign in with this key' }).click()
const signedIn = `#key=${replayKey}&mesh=demo/shop`

test('the page costs less than 150 KB compressed', () => {
  assert.ok(gzipBytes < 150 * 1024, `${gzipBytes} bytes`)
})

test('the topology shows services, versions with their shares, calls with their numbers, and locks', async () => {
  await withPage(signedIn, async (page) => {
    const graph = page.getByRole('group', { name: 'Topology' })
    await graph.getByRole('button', { name: 'service order-service in prod, 26/s, 0.2% errors, v1 91%, v2 9.1%' }).waitFor({ state: 'attached' })
    await graph.getByRole('button', { name: 'web calls order-service v2, 2.4/s, 2.1% errors, p50 / p99 11 / 96 ms, all over mutual TLS' }).waitFor({ state: 'attached' })
    await graph.getByRole('button', { name: 'order-service calls inventory v1, 24/s, p50 / p99 1.4 / 6.8 ms, 62% over mutual TLS' }).waitFor({ state: 'attached' })
    await graph.getByRole('button', { name: 'catalogue calls inventory v1, 12/s', exact: true }).waitFor({ state: 'attached' })
    assert.equal(await drawnPixels(page) > 2000, true, 'the canvas is drawn on')
  })
})

test('a key in the fragment signs in and is gone from the address bar', async () => {
  await withPage(signedIn, async (page) => {
    await page.locator('.link.live').waitFor()
    assert.equal(page.url().includes('weft_key'), false)
    await page.reload()
    await page.locator('.link.live').waitFor()
  })
})

test('a link with a key signs nobody in who does not say so, and takes nobody’s session', async () => {
  await withPage(
    signedIn,
    async (page, replay) => {
      await page.getByRole('heading', { name: 'This link carries a key' }).waitFor()
      assert.equal(page.url().includes('weft_key'), false)
      assert.deepEqual(await page.evaluate(() => ({ ...sessionStorage })), {}, 'nothing is kept that was not accepted')
      assert.deepEqual(replay.asked, [], 'and the key is shown to nobody')
      await page.getByRole('button', { name: 'Use another key' }).click()
      await page.getByLabel('API key').fill(replayKey)
      await page.keyboard.press('Enter')
      await page.locator('.link.live').waitFor()
      // Somebody else's link, in a tab that is signed in.
      await page.goto('about:blank')
      await page.goto(`${replay.url}/#key=weft_key_of_an_attacker&mesh=evil/shop`)
      await page.getByText('evil/shop').waitFor()
      await page.getByRole('button', { name: 'Stay signed in as before' }).click()
      await page.locator('.link.live').waitFor()
      assert.equal(await page.evaluate(() => sessionStorage.getItem('weft.key')), replayKey)
      // A link with the key that is in use is a link.
      await page.goto('about:blank')
      await page.goto(`${replay.url}/${signedIn}`)
      await page.locator('.link.live').waitFor()
    },
    { accept: false },
  )
})

test('a key that is typed in opens the only mesh; a wrong one says why', async () => {
  await withPage('', async (page) => {
    await page.getByLabel('API key').fill('weft_key_wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').filter({ hasText: 'This key is not accepted' }).waitFor()
    await page.getByLabel('API key').fill(replayKey)
    await page.keyboard.press('Enter')
    await page.locator('.link.live').waitFor()
    assert.match(await page.getByRole('button', { name: 'demo/shop' }).innerText(), /shop/)
  })
})

test('several meshes are offered to choose from', async () => {
  await withPage('', async (page, replay) => {
    replay.documents.set('meshes', [{ name: 'shop' }, { name: 'staging' }])
    await page.getByLabel('API key').fill(replayKey)
    await page.keyboard.press('Enter')
    await page.getByRole('button', { name: 'demo/staging' }).waitFor()
    await page.getByRole('button', { name: 'demo/shop' }).click()
    await page.locator('.link.live').waitFor()
  })
})

test('the keyboard alone selects a service, reads its numbers and follows a call', async () => {
  await withPage(signedIn, async (page) => {
    const service = page.getByRole('button', { name: /^service order-service/ })
    await service.waitFor({ state: 'attached' })
    for (let tabs = 0; tabs < 40 && !(await service.evaluate((element) => element === document.activeElement)); tabs += 1) await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    const details = page.getByRole('complementary', { name: 'Details' })
    await details.getByRole('heading', { name: 'order-service' }).waitFor()
    assert.match(await details.innerText(), /v1 ×3\s+91%\s+24\/s/)
    await details.getByRole('link', { name: 'VirtualService order-service' }).waitFor()
    await details.getByRole('button', { name: /^payment-service/ }).press('Enter')
    await details.getByText('All requests travelled over mutual TLS').waitFor()
    await page.keyboard.press('Escape')
    await details.waitFor({ state: 'detached' })
  })
})

test('a click on a card selects it, a drag moves the picture and selects nothing', async () => {
  await withPage(signedIn, async (page) => {
    await page.getByRole('button', { name: /^service web/ }).waitFor({ state: 'attached' })
    const at = await cardAt(page)
    await page.mouse.move(at.x, at.y)
    await page.locator('.canvas.pointing').waitFor()
    await page.mouse.down()
    await page.mouse.move(at.x + 60, at.y + 40, { steps: 4 })
    await page.mouse.up()
    assert.equal(await page.getByRole('complementary', { name: 'Details' }).count(), 0)
    await page.mouse.click(at.x + 60, at.y + 40)
    await page.getByRole('complementary', { name: 'Details' }).waitFor()
  })
})

test('a refused configuration is said on every screen, with the proxy, its words and the object at fault', async () => {
  await withPage(signedIn, async (page, replay) => {
    const banner = page.getByRole('alert').filter({ hasText: 'payment-v1 rejects its configuration' })
    await banner.waitFor()
    await page.getByRole('button', { name: /payment-service in prod.*rejects its configuration/ }).waitFor({ state: 'attached' })
    await page.getByRole('link', { name: /^Proxies/ }).click()
    const row = page.locator('tbody.rejected')
    assert.match(await row.innerText(), /payment-v1[\s\S]*rejected[\s\S]*Domains: value must contain at least 1 item[\s\S]*VirtualService\/prod\/payment-service/)
    await row.getByRole('link', { name: 'VirtualService/prod/payment-service' }).click()
    await page.getByRole('heading', { name: 'payment-service' }).waitFor()
    replay.emit('proxies', shopProxies(nowMs, false))
    await banner.waitFor({ state: 'detached' })
  })
})

test('each second of news changes the numbers', async () => {
  await withPage(signedIn, async (page, replay) => {
    await page.locator('.link.live').waitFor()
    const busier = shopTopology(nowMs + 1000)
    replay.emit('topology', { ...busier, revision: 43, edges: busier.edges.map((edge) => ({ ...edge, requestsPerSecond: edge.requestsPerSecond * 100 })) })
    await page.getByRole('button', { name: /^web calls order-service v1, 2.2k\/s/ }).waitFor({ state: 'attached' })
    await page.getByText('revision 43').waitFor()
  })
})

test('when the stream breaks the page says so, keeps its picture, and comes back by itself', async () => {
  await withPage(signedIn, async (page, replay) => {
    await page.locator('.link.live').waitFor()
    replay.cut(true)
    await page.getByText('Reconnecting…').waitFor()
    assert.equal(await page.getByRole('button', { name: /^service web/ }).count(), 1)
    replay.cut(false)
    await page.locator('.link.live').waitFor()
    replay.emit('topology', { ...shopTopology(nowMs + 5000), revision: 57 })
    await page.getByText('revision 57').waitFor()
  })
})

test('objects are found by name and shown as YAML with what has changed since', async () => {
  await withPage(signedIn, async (page, replay) => {
    const [now] = shopObjects()
    const before = { ...now, spec: { hosts: ['order-service'], http: [] } }
    const entry = { group: 'networking.istio.io', kind: 'VirtualService', namespace: 'prod', name: 'order-service', at: new Date(nowMs).toISOString() }
    replay.documents.set('history', { items: [{ ...entry, revision: 41, operation: 'update', author: 'ada', message: 'one in ten to v2', object: now }, { ...entry, revision: 31, operation: 'create', author: 'weft up', message: 'the shop', object: before }], next: null })
    await page.getByRole('link', { name: 'Objects' }).click()
    await page.getByLabel('Find an object').fill('virtual order')
    await page.getByRole('link', { name: 'order-service prod' }).click()
    assert.match(await page.locator('pre.yaml').innerText(), /^apiVersion: networking.istio.io\/v1\n[\s\S]*weight: 90/)
    await page.getByRole('button', { name: /31 created/ }).click()
    assert.equal(await page.locator('.line.removed').innerText(), '  http: []')
    await page.getByLabel('Find an object').fill('shop-cert')
    await page.getByRole('link', { name: 'shop-cert istio-ingress' }).click()
    assert.match(await page.locator('pre.yaml').innerText(), /tls.key: KGhpZGRlbik= # \(hidden\)/)
  })
})

test('a mesh without traffic says what it waits for', async () => {
  await withPage('', async (page, replay) => {
    replay.documents.set('topology', { ...shopTopology(nowMs), nodes: [], edges: [] })
    replay.documents.set('proxies', { items: [], next: null })
    await page.getByLabel('API key').fill(replayKey)
    await page.keyboard.press('Enter')
    await page.getByText('Nothing moves here yet').waitFor()
    await page.getByRole('link', { name: 'Proxies' }).click()
    await page.getByText('No proxy is connected').waitFor()
  })
})

/** Pixels of the sheets that are not transparent. */
const drawnPixels = (page: Page): Promise<number> =>
  page.locator('.canvas canvas').evaluateAll((sheets) => {
    let drawn = 0
    for (const sheet of sheets) {
      if (!(sheet instanceof HTMLCanvasElement)) continue
      const { data } = sheet.getContext('2d')?.getImageData(0, 0, sheet.width, sheet.height) ?? { data: new Uint8ClampedArray() }
      for (let at = 3; at < data.length; at += 4) if (data[at] !== 0) drawn += 1
    }
    return drawn
  })

/** Somewhere within the first card from the left: fully opaque pixels of the uppermost sheet, once they stand. */
async function cardAt(page: Page): Promise<{ x: number; y: number }> {
  const find = (): Promise<{ x: number; y: number } | undefined> =>
    page.locator('.canvas canvas').last().evaluate((sheet) => {
      if (!(sheet instanceof HTMLCanvasElement)) return undefined
      const context = sheet.getContext('2d')
      const place = sheet.getBoundingClientRect()
      for (let x = 0; x < sheet.width; x += 6) {
        for (let y = 0; y < sheet.height; y += 6) {
          const opaque = [[0, 0], [8, 0], [0, 8], [60, 8]].every(([dx = 0, dy = 0]) => (context?.getImageData(x + dx, y + dy, 1, 1).data[3] ?? 0) === 255)
          if (opaque) return { x: place.x + x + 10, y: place.y + y + 10 }
        }
      }
      return undefined
    })
  for (;;) {
    const found = await find()
    if (found !== undefined) return found
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)))
  }
}
