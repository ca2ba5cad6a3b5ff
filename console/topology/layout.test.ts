import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assignLayers } from './layers.ts'
import { type LayoutEdge, type LayoutNode, layOut } from './layout.ts'
import { countCrossings, orderLayers } from './ordering.ts'
import { placeColumn } from './placing.ts'

const box = (id: string, height = 80): LayoutNode => ({ id, width: 200, height })
const call = (from: string, to: string): LayoutEdge => ({ key: `${from} → ${to}`, from, to, fromOffset: 25, toOffset: 25 })

test('a service stands right of everything that calls it, by the longest way', () => {
  const layers = assignLayers({ nodes: ['a', 'b', 'c', 'd'], edges: [{ from: 'a', to: 'd' }, { from: 'a', to: 'b' }, { from: 'b', to: 'c' }, { from: 'c', to: 'd' }] })
  assert.deepEqual([...layers], [['a', 0], ['b', 1], ['c', 2], ['d', 3]])
})

test('a cycle is cut where its traffic comes back, not where it enters', () => {
  const layers = assignLayers({ nodes: ['a', 'b', 'z'], edges: [{ from: 'z', to: 'b' }, { from: 'b', to: 'a' }, { from: 'a', to: 'b' }] })
  assert.deepEqual([...layers], [['a', 2], ['b', 1], ['z', 0]])
})

test('a chain of ten thousand services ends no stack', () => {
  const nodes = Array.from({ length: 10_000 }, (_, at) => `n${String(at).padStart(5, '0')}`)
  const edges = nodes.slice(1).map((to, at) => ({ from: nodes[at] ?? '', to }))
  assert.equal(assignLayers({ nodes, edges }).get('n09999'), 9999)
})

test('two calls that cross are uncrossed', () => {
  const links = { left: new Map([['x', ['b']], ['y', ['a']]]), right: new Map([['a', ['y']], ['b', ['x']]]) }
  assert.equal(countCrossings([['a', 'b'], ['x', 'y']], links), 1)
  assert.equal(countCrossings(orderLayers([['a', 'b'], ['x', 'y']], links), links), 0)
})

test('boxes of a column keep their order and their distance, and share the shift when they would overlap', () => {
  assert.deepEqual(placeColumn([{ middle: 0, weight: 1, height: 20 }, { middle: 0, weight: 1, height: 20 }], 10), [-15, 15])
  assert.deepEqual(placeColumn([{ middle: 0, weight: 1, height: 20 }, { middle: 100, weight: 1, height: 20 }], 10), [0, 100])
  assert.deepEqual(placeColumn([{ middle: 0, weight: 2, height: 20 }, { middle: 0, weight: 1, height: 20 }], 10), [-10, 20])
})

test('no two boxes overlap, and an edge past a column gets a lane that no box stands in', () => {
  const nodes = ['a', 'b', 'c', 'd', 'e', 'lonely'].map((id, at) => box(id, 60 + at * 20))
  const { positions, bends } = layOut(nodes, [call('a', 'b'), call('b', 'c'), call('a', 'c'), call('a', 'd'), call('d', 'c'), call('e', 'c')])
  const boxes = nodes.map((node) => ({ ...node, x: positions.get(node.id)?.x ?? NaN, y: positions.get(node.id)?.y ?? NaN }))
  for (const [at, one] of boxes.entries()) {
    for (const other of boxes.slice(at + 1)) assert.ok(one.x + one.width <= other.x || other.x + other.width <= one.x || one.y + one.height <= other.y || other.y + other.height <= one.y, `${one.id} and ${other.id}`)
  }
  const lanes = bends.get('a → c') ?? []
  assert.equal(lanes.length, 1)
  for (const lane of lanes) for (const one of boxes) assert.ok(lane.x < one.x || lane.x > one.x + one.width || lane.y < one.y || lane.y > one.y + one.height, one.id)
})

test('the picture does not depend on the order in which nodes and edges are told', () => {
  const nodes = ['a', 'b', 'c', 'd', 'e'].map((id) => box(id))
  const edges = [call('a', 'c'), call('b', 'c'), call('b', 'd'), call('c', 'e'), call('d', 'e')]
  const sorted = (layout: ReturnType<typeof layOut>) => [...layout.positions].sort()
  assert.deepEqual(sorted(layOut(nodes, edges)), sorted(layOut(nodes.toReversed(), edges.toReversed())))
})

test('a thousand services are laid out near the shape of a screen', () => {
  const nodes = Array.from({ length: 1000 }, (_, at) => box(`s${at}`))
  const edges = Array.from({ length: 2000 }, (_, at) => call(`s${at % 500}`, `s${500 + ((at * 13 + Math.floor(at / 500)) % 500)}`))
  const { positions, width, height } = layOut(nodes, edges)
  assert.equal(positions.size, 1000)
  assert.ok(width / height > 0.5 && width / height < 5, `${width} × ${height}`)
})
