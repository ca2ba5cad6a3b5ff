import assert from 'node:assert/strict'
import { test } from 'node:test'
import { remember } from '../live/remembered.ts'
import { shopTopology } from '../testing/shop.ts'
import { distanceTo, levelCurve, pointAt } from './curve.ts'
import { advance, dotsPerSecond, flowOf, noDots, settle, showsError } from './motion.ts'
import { type Scene, buildScene, hitTest, neighbourhood } from './scene.ts'
import { lockOf, toneOf } from './tone.ts'
import { fitAll, firstView, readableZoom, reveal, toWorld, zoomAt } from './viewport.ts'

const measure = (text: string): number => text.length * 7
const order = 'service/order-service.prod.svc.cluster.local'
const sceneOf = (wave: number, previous?: Scene): Scene => buildScene(remember(undefined, shopTopology(1000, wave)), new Set(), measure, previous)

test('numbers change and nothing moves', () => {
  const first = sceneOf(0)
  const second = sceneOf(1.5, first)
  assert.equal(second.arrangement, first.arrangement)
  assert.notEqual(second.nodes.find(({ node }) => node.name === 'catalogue')?.rate, first.nodes.find(({ node }) => node.name === 'catalogue')?.rate)
})

test('a call to a version arrives at the row of that version', () => {
  const scene = sceneOf(0)
  const card = scene.nodes.find(({ node }) => node.id === order)
  const [v1, v2] = ['v1', 'v2'].map((version) => scene.edges.find(({ edge }) => edge.to === order && edge.version === version && edge.from.includes('web'))?.curve.points.at(-1) ?? NaN)
  const row = (at: number): number => (card?.box.y ?? NaN) + (card?.rows[at]?.top ?? NaN)
  assert.ok((v1 ?? 0) > row(0) && (v1 ?? 0) < row(1) && (v2 ?? 0) > row(1))
})

test('shares of versions are shares of what the service was asked', () => {
  const card = sceneOf(0).nodes.find(({ node }) => node.id === order)
  assert.deepEqual(card?.rows.map((row) => Math.round((row.share ?? 0) * 100)), [91, 9])
})

test('labels overlap neither each other nor a card', () => {
  const { arrangement } = sceneOf(0)
  const labels = [...arrangement.labels.values()]
  assert.equal(labels.length, 10)
  for (const [at, one] of labels.entries()) {
    for (const other of labels.slice(at + 1)) assert.ok(Math.abs(one.x - other.x) >= 126 || Math.abs(one.y - other.y) >= 36)
    for (const box of arrangement.boxes.values()) assert.ok(one.x + 63 <= box.x || one.x - 63 >= box.x + box.width || one.y + 18 <= box.y || one.y - 18 >= box.y + box.height)
  }
})

test('the pointer finds a card, a line beside it, and nothing far away', () => {
  const scene = sceneOf(0)
  const box = scene.arrangement.boxes.get(order)
  assert.deepEqual(hitTest(scene, { x: (box?.x ?? 0) + 5, y: (box?.y ?? 0) + 5 }, 6), { kind: 'node', id: order })
  const edge = scene.edges.find((one) => one.edge.from.startsWith('gateway/'))
  const at = edge === undefined ? { x: 0, y: 0 } : pointAt(edge.curve, 12)
  assert.deepEqual(hitTest(scene, { x: at.x, y: at.y + 3 }, 6), { kind: 'edge', key: edge?.key })
  assert.equal(hitTest(scene, { x: -500, y: -500 }, 6), undefined)
})

test('what is selected stands out with what it touches', () => {
  const near = neighbourhood(sceneOf(0), { kind: 'node', id: 'gateway/istio-ingress/gateway' })
  assert.deepEqual([...(near ?? [])].filter((id) => !id.includes('→')), ['gateway/istio-ingress/gateway', 'service/web.prod.svc.cluster.local'])
})

test('a lock is shown only where a handshake was reported, closed only when it was all of them', () => {
  assert.deepEqual([lockOf(1), lockOf(0.999), lockOf(0), lockOf(null)], ['closed', 'open', 'open', 'unknown'])
})

test('errors colour a flow from one and from five in a hundred; silence is neither', () => {
  const tone = (errorShare: number, requestsPerSecond = 1) => toneOf({ errorShare, requestsPerSecond })
  assert.deepEqual([tone(0.0099), tone(0.01), tone(0.05), tone(0.5, 0)], ['good', 'warn', 'bad', 'quiet'])
})

const plain = { pace: 1, density: 1 }

test('dots leave at the rate of a slow flow and never leave a silent one', () => {
  const dots = noDots()
  for (let frame = 0; frame < 100; frame += 1) advance(dots, 1, 10_000, 50, plain)
  assert.equal(dots.at.length, 5)
  const silent = noDots()
  settle(silent, 0, 500, 0, plain)
  for (let frame = 0; frame < 100; frame += 1) advance(silent, 0, 500, 50, plain)
  assert.equal(silent.at.length, 0)
  assert.ok(dotsPerSecond(1_000_000) <= 7)
})

test('a large mesh keeps its dots within bounds', () => {
  const edges = Array.from({ length: 2000 }, (_, at) => ({ requestsPerSecond: 1 + (at % 90), length: 6000 }))
  const flow = flowOf(edges, 20_000)
  const all = edges.map((edge, at) => {
    const dots = noDots()
    settle(dots, edge.requestsPerSecond, edge.length, (at * 0.618) % 1, flow)
    return dots.at.length
  })
  const total = all.reduce((sum, many) => sum + many, 0)
  assert.ok(total > 1500 && total < 3600, String(total))
  assert.deepEqual(flowOf([{ requestsPerSecond: 20, length: 300 }], 1200), plain)
})

test('as many dots show an error as requests failed', () => {
  const failed = Array.from({ length: 1000 }, (_, number) => showsError(number, 0.08)).filter(Boolean).length
  assert.ok(failed > 70 && failed < 90, String(failed))
})

test('a curve leaves and arrives level and keeps to its stops', () => {
  const curve = levelCurve([{ x: 0, y: 0 }, { x: 100, y: 50 }, { x: 200, y: 0 }], 1, 1)
  assert.ok(distanceTo(curve, { x: 100, y: 50 }) < 0.01)
  assert.ok(Math.abs((curve.points[3] ?? 9) - (curve.points[1] ?? 0)) < 1)
})

test('zooming keeps what is under the pointer, revealing moves no further than it must', () => {
  const view = { x: 10, y: 20, zoom: 1 }
  const at = { x: 300, y: 200 }
  assert.deepEqual(toWorld(zoomAt(view, at, 1.5), at), toWorld(view, at))
  assert.deepEqual(reveal(view, { x: 100, y: 100, width: 50, height: 50 }, { width: 800, height: 600 }), view)
  assert.equal(reveal(view, { x: 900, y: 100, width: 50, height: 50 }, { width: 800, height: 600 }).y, view.y)
  assert.ok(fitAll({ width: 4000, height: 500 }, { width: 400, height: 600 }).zoom < readableZoom)
  assert.equal(firstView({ width: 4000, height: 500 }, { width: 400, height: 600 }).zoom, readableZoom)
})
