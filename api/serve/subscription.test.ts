import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '#core/time/seeded.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT } from '#core/wire/type-url.ts'
import { applyDelta } from './delta.ts'
import { MemoryView } from './memory-view.ts'
import { namedIn } from './rejection.ts'
import type { DiscoveryRequest, Protocol } from './request.ts'
import type { Resource } from './resource.ts'
import { applySotw } from './sotw.ts'
import { Subscription } from './subscription.ts'
import type { Taken } from './taking.ts'

const resource = (type: string, name: string, version: string): Resource => ({ type, name, version, bytes: new Uint8Array(100), origins: [] })
const request = (type: string, some: Partial<DiscoveryRequest> = {}): DiscoveryRequest => ({ type, nonce: '', refusal: undefined, node: undefined, names: [], dropped: [], held: new Map(), ...some })

/** A subscription, its view, and a client that keeps what it is sent, by the protocol's own rules. */
class Pair {
  readonly view = new MemoryView()
  readonly held = new Map<string, string>()
  readonly subscription: Subscription
  readonly #full: boolean
  #nonce = 0
  /** Of responses that it has not answered. */
  readonly #owed: string[] = []

  constructor(type: string, protocol: Protocol) {
    this.subscription = new Subscription(type, protocol)
    this.#full = protocol === 'sotw' && type === CLUSTER
    this.view.subscribe(({ changed, removed, revision }) => {
      for (const one of changed) this.subscription.changed(one, revision)
      for (const { name } of removed) this.subscription.gone(name, revision)
    })
  }

  ask(some: Partial<DiscoveryRequest>): void {
    const read = request(this.subscription.type, some)
    if (this.subscription.protocol === 'delta') applyDelta(this.subscription, read, this.view)
    else applySotw(this.subscription, { ...read, nonce: this.subscription.nonce }, this.view)
  }

  send(bytesMax = 1000): Taken | undefined {
    if (!this.subscription.mayGo) return undefined
    const taken = this.subscription.take(this.view, 0, bytesMax)
    if (taken) {
      this.#owed.push(String((this.#nonce += 1)))
      this.subscription.carry(String(this.#nonce))
    }
    if (taken && this.#full) this.held.clear()
    for (const { name, version } of taken?.resources ?? []) this.held.set(name, version)
    for (const name of taken?.removed ?? []) this.held.delete(name)
    return taken
  }

  /** Answers the oldest. */
  settle(refusal?: string): void {
    const nonce = this.#owed.shift()
    if (nonce !== undefined) assert.ok(this.subscription.settle(nonce, refusal, 0))
  }

  /** Until nothing is left to say. */
  drain(): void {
    for (let round = 0; round < 1000; round += 1) {
      this.subscription.releaseLeaving()
      this.settle()
      if (!this.send() && this.#owed.length === 0) return
    }
    assert.fail('it never falls silent')
  }
}

for (const protocol of ['delta', 'sotw'] as const) {
  for (const type of [CLUSTER, CLUSTER_LOAD_ASSIGNMENT]) {
    test(`${protocol}, ${type.split('.').at(-1)}: after any edits, subscriptions and late ACKs the client holds what it wants and the view has`, () => {
      for (let seed = 1; seed <= 150; seed += 1) {
        const random = seededRandom(seed)
        const pick = (count: number): number => Math.floor(random.draw() * count)
        const pair = new Pair(type, protocol)
        let wanted = new Set<string>()
        for (let step = 0; step < 60; step += 1) {
          const name = `r${pick(6)}`
          const choice = pick(8)
          if (choice < 2) pair.view.set(resource(type, name, String(1 + pick(3))))
          else if (choice === 2) pair.view.remove(type, name)
          else if (choice === 3) {
            if (protocol === 'delta') {
              const drop = wanted.has(name) && pick(2) === 0
              pair.ask(drop ? { dropped: [name] } : { names: [name] })
              if (drop) {
                wanted.delete(name)
                // A client forgets what it no longer wants.
                pair.held.delete(name)
              } else wanted.add(name)
            } else {
              wanted = new Set(Array.from({ length: 1 + pick(4) }, () => `r${pick(6)}`))
              pair.ask({ names: [...wanted] })
              for (const held of pair.held.keys()) if (!wanted.has(held)) pair.held.delete(held)
            }
          } else if (choice === 4) pair.settle()
          else if (choice === 5) pair.subscription.releaseLeaving()
          else {
            const taken = pair.send(150 + pick(500))
            const names = [...(taken?.resources ?? []).map((one) => one.name), ...(taken?.removed ?? [])]
            assert.equal(new Set(names).size, names.length)
            for (const sent of names) assert.ok(wanted.has(sent) || pair.subscription.wildcard)
          }
        }
        pair.drain()
        const expected = [...wanted].flatMap((name) => pair.view.get(type, name) ?? []).map((one) => [one.name, one.version])
        // SotW has no word for the absence of endpoints: there a client keeps what it had.
        const held = [...pair.held].filter(([name]) => protocol === 'delta' || type === CLUSTER || pair.view.get(type, name))
        assert.deepEqual(held.sort(), expected.sort(), `seed ${seed}`)
        assert.equal(pair.subscription.unackedSince, undefined, `seed ${seed}`)
      }
    })
  }
}

test('delta: what was refused is not sent again when the view returns to it, and what comes between is', () => {
  const pair = new Pair(CLUSTER, 'delta')
  pair.view.set(resource(CLUSTER, 'a', 'good'))
  pair.ask({})
  pair.send()
  pair.settle()
  pair.view.set(resource(CLUSTER, 'a', 'bad'))
  pair.send()
  pair.settle('cluster a: no')
  assert.deepEqual(pair.subscription.rejection?.resources, ['a'])
  pair.view.set(resource(CLUSTER, 'a', 'good'))
  assert.equal(pair.send()?.resources.length, 1)
  pair.settle()
  pair.view.set(resource(CLUSTER, 'a', 'bad'))
  assert.equal(pair.send(), undefined)
  pair.view.set(resource(CLUSTER, 'a', 'better'))
  assert.equal(pair.send()?.resources.length, 1)
})

test('delta: initial versions of names that are not asked for are not kept', () => {
  const pair = new Pair(CLUSTER_LOAD_ASSIGNMENT, 'delta')
  pair.ask({ names: ['a'], held: new Map([['a', '1'], ['b', '1']]) })
  assert.equal(pair.send(), undefined, 'what may still be pointed at')
  pair.subscription.releaseLeaving()
  assert.deepEqual(pair.send()?.removed, ['a'])
  assert.equal(pair.subscription.subscribed, 1)
})

test('a refusal names resources by whole words, or blames all', () => {
  const [a, ab, dotted] = [resource(CLUSTER, 'a', '1'), resource(CLUSTER, 'outbound|80||a.prod', '1'), resource(CLUSTER, 'a.prod', '1')]
  assert.deepEqual(namedIn('cluster outbound|80||a.prod: no such locality', [a, ab, dotted]), [ab])
  assert.deepEqual(namedIn("bad resource 'a'.", [a, ab, dotted]), [a])
  assert.deepEqual(namedIn('something is wrong', [a, ab]), [a, ab])
})

test('what waits is forgotten with the name that it is about, and leaves nothing unacknowledged', () => {
  const pair = new Pair(CLUSTER_LOAD_ASSIGNMENT, 'delta')
  pair.view.set(resource(CLUSTER_LOAD_ASSIGNMENT, 'a', '1'))
  pair.ask({ names: ['a'] })
  pair.drain()
  pair.view.remove(CLUSTER_LOAD_ASSIGNMENT, 'a')
  assert.notEqual(pair.subscription.unackedSince, undefined)
  pair.ask({ dropped: ['a'] })
  assert.equal(pair.subscription.hasWork, false)
  assert.equal(pair.subscription.unackedSince, undefined)
})

test('what goes and comes back as it was, before the client has heard of it, leaves nothing unacknowledged', () => {
  const pair = new Pair(CLUSTER, 'delta')
  pair.view.set(resource(CLUSTER, 'a', '1'))
  pair.ask({})
  pair.drain()
  pair.view.remove(CLUSTER, 'a')
  pair.view.set(resource(CLUSTER, 'a', '1'))
  assert.equal(pair.send(), undefined)
  assert.equal(pair.subscription.unackedSince, undefined)
})

test('a large answer is late only when a slow reader could have read it', () => {
  const pair = new Pair(CLUSTER, 'delta')
  pair.view.set({ ...resource(CLUSTER, 'a', '1'), bytes: new Uint8Array(64 << 10) }, { ...resource(CLUSTER, 'b', '1'), bytes: new Uint8Array(160_000) })
  pair.ask({})
  assert.equal(pair.send(1 << 20)?.resources.length, 2)
  // 160,000 bytes at 16 a millisecond take ten seconds.
  assert.equal(pair.subscription.resyncIfLate(39_999, 30_000, 1), undefined)
  assert.equal(pair.subscription.resyncIfLate(40_000, 30_000, 1), 40_000)
})

test('the time of a client that answers what was sent before does not run, and that of one that has passed an answer over does', () => {
  const pair = new Pair(CLUSTER, 'delta')
  pair.view.set(resource(CLUSTER, 'a', '1'))
  pair.ask({})
  pair.send()
  const answered = (sentAtMs: number) => ({ answeredAtMs: 25_000, answeredSentAtMs: sentAtMs, drainedAtMs: 0 })
  assert.equal(pair.subscription.resyncIfLate(54_999, 30_000, 1, answered(-5)), undefined)
  assert.equal(pair.subscription.resyncIfLate(40_000, 30_000, 1, { answeredAtMs: 0, answeredSentAtMs: 0, drainedAtMs: 15_000 }), undefined)
  assert.equal(pair.subscription.lateMs(40_000, answered(-5)), 15_000)
  assert.equal(pair.subscription.lateMs(40_000, answered(5)), 40_000)
  assert.equal(pair.subscription.resyncIfLate(55_000, 30_000, 1, answered(-5)), 55_000)
})
