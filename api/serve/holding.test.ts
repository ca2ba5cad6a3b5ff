import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SteppedClock } from '#core/time/seeded.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT } from '#core/wire/type-url.ts'
import { type Ask, nothingAsked } from './asks.ts'
import { applyDelta } from './delta.ts'
import { type Holding, Holdings, usualLimits } from './holding.ts'
import { MemoryView } from './memory-view.ts'
import type { Resource } from './resource.ts'
import { Subscription } from './subscription.ts'

const names = Array.from({ length: 300 }, (_, at) => `name-${at}`)
const resource = (type: string, name: string, version = '1'): Resource => ({ type, name, version, bytes: new Uint8Array(100), origins: [] })

/** A view that counts how often it is looked into. */
class CountedView extends MemoryView {
  looks = 0

  override get(type: string, name: string): Resource | undefined {
    this.looks += 1
    return super.get(type, name)
  }
}

function connect(view: MemoryView, type: string, start: Holding, ask: Ask): { subscription: Subscription; responses: (readonly Resource[])[] } {
  const subscription = new Subscription(type, 'delta', start)
  applyDelta(subscription, { type, nonce: '', refusal: undefined, node: undefined, ...ask, ask }, view)
  const responses: (readonly Resource[])[] = []
  for (let nonce = 1; ; nonce += 1) {
    const taken = subscription.take(view, 0, 10_000)
    if (!taken) return { subscription, responses }
    responses.push(taken.resources)
    subscription.carry(String(nonce))
    subscription.settle(String(nonce), undefined, 0)
  }
}

test('the second stream that asks for the same is answered from what the first one was, but for the last few names', () => {
  for (const [type, ask] of [[CLUSTER, nothingAsked], [CLUSTER_LOAD_ASSIGNMENT, { ...nothingAsked, names }]] as const) {
    const view = new CountedView(names.map((name) => resource(type, name)))
    const start = new Holdings(new SteppedClock()).start(type, 'delta', '')
    const first = connect(view, type, start, ask)
    assert.equal(first.responses.flat().length, names.length)
    view.looks = 0
    const second = connect(view, type, start, ask)
    // The last few are looked at by each stream for itself.
    assert.ok(view.looks < 64, `${view.looks}`)
    assert.ok(second.responses.length > 3)
    for (const [at, response] of second.responses.slice(0, -1).entries()) assert.equal(response, first.responses[at])
    assert.deepEqual([...second.subscription.held()], [...first.subscription.held()])
  }
})

test('a stream that comes back with what it held is compared once for all', () => {
  const view = new CountedView(names.map((name) => resource(CLUSTER, name)))
  const start = new Holdings(new SteppedClock()).start(CLUSTER, 'delta', '')
  const ask = { ...nothingAsked, held: new Map(names.map((name) => [name, name === 'name-7' ? '0' : '1'])) }
  connect(view, CLUSTER, start, ask)
  view.looks = 0
  const { responses } = connect(view, CLUSTER, start, ask)
  assert.deepEqual(responses.map((one) => one.map(({ name }) => name)), [['name-7']])
  assert.ok(view.looks < 10, `${view.looks}`)
})

test('a stream of which something is its own keeps it, and takes the rest from others', () => {
  const view = new CountedView(names.map((name) => resource(CLUSTER, name)))
  const start = new Holdings(new SteppedClock()).start(CLUSTER, 'delta', '')
  connect(view, CLUSTER, start, nothingAsked)
  const subscription = new Subscription(CLUSTER, 'delta', start)
  applyDelta(subscription, { type: CLUSTER, nonce: '', refusal: undefined, node: undefined, ...nothingAsked, ask: nothingAsked }, view)
  subscription.enqueue('missing', 1, true)
  const removed: string[] = []
  const sent: string[] = []
  for (let nonce = 1; ; nonce += 1) {
    const taken = subscription.take(view, 0, 10_000)
    if (!taken) break
    removed.push(...taken.removed)
    sent.push(...taken.resources.map(({ name }) => name))
    subscription.carry(String(nonce))
    subscription.settle(String(nonce), undefined, 0)
  }
  assert.deepEqual(removed, ['missing'])
  assert.deepEqual(sent.sort(), [...names].sort())
})

test('streams to which the same happened stand on one holding again, and one to which something else did does not', () => {
  const view = new MemoryView(names.map((name) => resource(CLUSTER, name)))
  const start = new Holdings(new SteppedClock()).start(CLUSTER, 'delta', '')
  const streams = [0, 1, 2].map(() => connect(view, CLUSTER, start, nothingAsked).subscription)
  const change = (subscription: Subscription, name: string, version: string): void => {
    const changed = resource(CLUSTER, name, version)
    view.set(changed)
    subscription.changed(changed, view.revision)
    subscription.take(view, 0, 10_000)
    subscription.carry('9')
    subscription.settle('9', undefined, 0)
  }
  for (const [at, subscription] of streams.entries()) for (let round = 0; round < 100; round += 1) change(subscription, `name-${round}`, round === 50 && at === 2 ? 'c' : 'b')
  const held = streams.map((subscription) => new Map([...subscription.held()].map(({ name, version }) => [name, version])))
  assert.deepEqual(held[0], held[1])
  assert.equal(held[0]?.get('name-50'), 'b')
  assert.equal(held[2]?.get('name-50'), 'c')
  assert.equal(held[2]?.get('name-51'), 'b')
})

test('steps of which together too much would be kept are forgotten, and those of one stream with names that nobody has are not kept', () => {
  const holdings = new Holdings(new SteppedClock(), undefined, 4000)
  const view = new CountedView(names.map((name) => resource(CLUSTER_LOAD_ASSIGNMENT, name)))
  const start = holdings.start(CLUSTER_LOAD_ASSIGNMENT, 'delta', '')
  const looksOf = (ask: Ask, at = start): number => {
    const before = view.looks
    connect(view, CLUSTER_LOAD_ASSIGNMENT, at, ask)
    return view.looks - before
  }
  const all: Ask = { ...nothingAsked, names }
  assert.ok(looksOf(all) > names.length)
  assert.ok(looksOf(all) < usualLimits.dueMin, 'worked out before, but for the last few')
  for (let count = 140; count < 150; count += 1) assert.ok(looksOf({ ...nothingAsked, names: names.slice(0, count) }) >= count)
  assert.ok(looksOf(all) > names.length, 'forgotten')
  assert.notEqual(holdings.start(CLUSTER_LOAD_ASSIGNMENT, 'delta', ''), start)
  const unknown: Ask = { ...nothingAsked, names: names.map((name) => `${name}-${'n'.repeat(60)}`) }
  const again = holdings.start(CLUSTER_LOAD_ASSIGNMENT, 'delta', '')
  for (let time = 0; time < 2; time += 1) assert.ok(looksOf(unknown, again) > names.length)
})
