import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { shopProxies, shopTopology } from '../testing/shop.ts'
import { eventParser } from './event-parser.ts'
import { LiveFeed, type MeshState, retryDelayMs } from './live-feed.ts'
import { edgeKey, quietKeptMs, remember } from './remembered.ts'

test('events are read however the bytes are cut', () => {
  const text = ': hello\r\nevent: topology\r\nid: 7\r\ndata: {"a":\r\ndata: 1}\r\n\r\nretry: 250\ndata: plain\n\nevent: nothing\n\n'
  for (let size = 1; size < text.length; size += 1) {
    const parser = eventParser()
    const events = []
    for (let at = 0; at < text.length; at += size) events.push(...parser.push(text.slice(at, at + size)))
    assert.deepEqual(events, [{ type: 'topology', data: '{"a":\n1}' }, { type: 'message', data: 'plain' }], `pieces of ${size}`)
    assert.deepEqual([parser.lastEventId(), parser.retryMs()], ['7', 250])
  }
})

test('what falls silent stays, without numbers, and goes after two minutes', () => {
  const full = shopTopology(1000)
  const less = (atMs: number) => ({ ...full, atMs, nodes: full.nodes.filter((node) => node.name !== 'catalogue'), edges: full.edges.filter((edge) => !edge.to.includes('catalogue') && !edge.from.includes('catalogue')) })
  const quiet = remember(remember(undefined, full), less(2000))
  assert.equal(quiet.topology.nodes.find((node) => node.name === 'catalogue')?.requestsPerSecond, 0)
  assert.equal(quiet.topology.edges.length, full.edges.length)
  assert.deepEqual(quiet.topology.edges.map(edgeKey), remember(undefined, full).topology.edges.map(edgeKey))
  assert.equal(remember(quiet, less(2000 + quietKeptMs)).topology.nodes.some((node) => node.name === 'catalogue'), false)
  assert.equal(remember(quiet, full).quietSinceMs.size, 0)
})

test('waits double up to a bound', () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 1000].map((failures) => retryDelayMs(failures, 500, 8000)), [500, 1000, 2000, 4000, 8000, 8000, 8000])
})

type Handler = (request: IncomingMessage, response: ServerResponse) => void

async function withServer(handler: Handler, use: (origin: string) => Promise<void>): Promise<void> {
  const server = createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

const reached = (feed: LiveFeed, wanted: (state: MeshState) => boolean): Promise<MeshState> =>
  new Promise((resolve) => {
    const look = (): void => {
      if (!wanted(feed.now)) return
      stop()
      resolve(feed.now)
    }
    const stop = feed.subscribe(look)
    look()
  })

const topologyEvent = (atMs: number, revision: number): string => `event: topology\ndata: ${JSON.stringify({ ...shopTopology(atMs), revision })}\n\n`

test('a feed follows its stream across a break, with its key in a header and where it left off', async () => {
  const seen: (string | undefined)[] = []
  await withServer((request, response) => {
    if (!request.url?.endsWith('/events')) return void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ items: shopProxies(0, seen.length > 2), next: null }))
    seen.push(request.headers.authorization, request.headers['last-event-id'] as string | undefined)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(`id: ${seen.length}\n${topologyEvent(seen.length, seen.length)}`)
    if (seen.length === 2) setImmediate(() => response.destroy())
  }, async (origin) => {
    const feed = new LiveFeed({ origin, key: 'k', mesh: 'demo/shop', retryMs: 1 })
    const links: string[] = []
    feed.subscribe(() => links.at(-1) === feed.now.link || links.push(feed.now.link))
    const run = feed.run()
    const state = await reached(feed, ({ revision, link, proxies }) => revision === 4 && link === 'live' && (proxies?.some((proxy) => proxy.types.some((type) => type.state === 'REJECTED')) ?? false))
    assert.equal(state.proxies?.length, 8)
    assert.deepEqual(seen, ['Bearer k', undefined, 'Bearer k', '2'])
    assert.deepEqual(links.filter((link) => link !== 'connecting'), ['live', 'reconnecting', 'live'])
    feed.stop()
    await run
  })
})

test('a feed gives up on a stream that is silent though nobody closed it', async () => {
  let streams = 0
  await withServer((request, response) => {
    if (!request.url?.endsWith('/events')) return void response.writeHead(404).end()
    streams += 1
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(topologyEvent(1, streams))
  }, async (origin) => {
    const feed = new LiveFeed({ origin, key: 'k', mesh: 'demo/shop', retryMs: 1, silenceMaxMs: 50 })
    const run = feed.run()
    await reached(feed, ({ problem }) => problem?.title === 'The event stream fell silent')
    await reached(feed, ({ revision }) => revision >= 2)
    feed.stop()
    await run
  })
})

test('a feed that is refused says why and does not try again', async () => {
  await withServer((_request, response) => void response.writeHead(404, { 'content-type': 'application/problem+json' }).end(JSON.stringify({ title: 'No such mesh', detail: 'demo/shop' })), async (origin) => {
    const feed = new LiveFeed({ origin, key: 'k', mesh: 'demo/shop' })
    await feed.run()
    assert.deepEqual([feed.now.link, feed.now.problem], ['refused', { status: 404, title: 'No such mesh', detail: 'demo/shop' }])
  })
})
