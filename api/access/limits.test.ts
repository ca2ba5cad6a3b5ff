import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { Faults } from '#core/fault/fault.ts'
import { SteppedClock } from '#core/time/seeded.ts'
import { kubeApi } from '../kube/app.ts'
import { restApi } from '../rest/app.ts'
import { openApi, serveApp } from '#test/parts/api.ts'
import type { ApiUnderTest } from '#test/parts/api.ts'
import { makeCredential } from './credential.ts'
import { RequestRates } from './enter.ts'
import { LoginRates } from './login-rates.ts'
import { networkOf } from './network.ts'
import { hashPassword, passwordMatches } from './password.ts'
import { Rates } from './rate.ts'
import { LiveStreams } from './streams.ts'

// What somebody who means harm can use up, and whom it hits.

const code = (error: unknown): string => (error instanceof Faults ? (error.faults[0]?.code ?? '') : String(error))
const limited = (error: unknown): boolean => code(error) === 'access.rate-limited'

let api: ApiUnderTest
let served: Awaited<ReturnType<typeof serveApp>>
let owner = ''
before(async () => {
  api = await openApi()
  const app = restApi(api.doors)
  app.route('/', kubeApi(api.doors))
  served = await serveApp(app)
  owner = await api.key('owner')
})
after(async () => {
  await served?.close()
  await api?.close()
})

test('one network is one caller: an IPv4 address, or the /64 of an IPv6 one', () => {
  assert.equal(networkOf('::ffff:192.0.2.1'), '192.0.2.1')
  assert.equal(networkOf('2001:db8::1'), networkOf('2001:0DB8:0:0:ffff:1:2:3'))
  assert.notEqual(networkOf('2001:db8::1'), networkOf('2001:db8:0:1::1'))
  assert.equal(networkOf('fe80::1%eth0'), networkOf('fe80::2'))
  assert.equal(networkOf('::1'), '0:0:0:0::/64')
  assert.equal(networkOf(''), '')
})

test('keys that somebody makes up share the bucket of their network, and fill no memory', () => {
  const rates = new RequestRates(() => 0)
  let refused = 0
  for (let at = 0; at < 5000; at += 1) {
    try {
      rates.knock(`hash-${at}`, '192.0.2.1')
    } catch (error) {
      assert.ok(limited(error))
      refused += 1
    }
  }
  assert.equal(refused, 4800)
  assert.equal(rates.size, 1)
  rates.knock('hash-0', '192.0.2.2')
})

test('a key that was accepted is not held up by its neighbours; once it is deleted it is a stranger again', () => {
  const rates = new RequestRates(() => 0)
  rates.knock('good', '192.0.2.1')
  rates.accept('good', 'id')
  for (let at = 0; at < 199; at += 1) rates.knock(`bad-${at}`, '192.0.2.1')
  assert.throws(() => rates.knock('bad', '192.0.2.1'), limited)
  rates.knock('good', '192.0.2.1')
  rates.refuse('good')
  assert.throws(() => rates.knock('good', '192.0.2.1'), limited)
})

test('buckets are bounded, whoever calls', () => {
  const rates = new Rates({ requestsPerSecond: 1, burst: 1 }, () => 0, 100)
  for (let at = 0; at < 10_000; at += 1) rates.spend(`caller-${at}`)
  assert.equal(rates.size, 100)
})

test('over a socket: made-up keys are turned away after a while, and a good one goes on', async () => {
  const ask = (key: string) => fetch(`${served.url}/api/v1/organizations`, { headers: { authorization: `Bearer ${key}` } }).then((answer) => answer.status)
  assert.equal(await ask(owner), 200)
  const guess = (): Promise<number> => ask(makeCredential('key').secret)
  assert.equal(await guess(), 401)
  // As many at once as a slow machine needs to be faster than the bucket fills.
  const statuses: number[] = []
  while (!statuses.includes(429) && statuses.length < 5000) statuses.push(...(await Promise.all(Array.from({ length: 100 }, guess))))
  assert.ok(statuses.includes(429), 'a new key has no bucket of its own')
  assert.equal(await ask(owner), 200)
})

test('whoever guesses at a name locks nobody else out', async () => {
  const clock = new SteppedClock()
  const rates = new LoginRates(clock)
  const at = (source: string) => ({ organization: 'demo', name: 'ada', source })
  await rates.take(at('198.51.100.1'))
  rates.succeeded(at('198.51.100.1'))
  // From one place: ten, and then no more.
  for (let count = 0; count < 10; count += 1) await rates.take(at('192.0.2.1'))
  await assert.rejects(rates.take(at('192.0.2.1')), limited)
  await rates.take(at('192.0.2.2'))
  // From everywhere: until the name's own bucket is empty.
  for (let count = 0; count < 48; count += 1) await rates.take(at(`203.0.113.${count}`))
  // A place from which ada has signed in before is not slowed.
  await rates.take(at('198.51.100.1'))
  // A new one is slowed, and not refused.
  let passed = false
  const slowed = rates.take(at('198.51.100.2')).then(() => (passed = true))
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(passed, false)
  clock.advance(3000)
  await slowed
  // Of those who are slowed, so many wait.
  for (let count = 0; count < 3; count += 1) await rates.take(at('198.51.100.1'))
  const waiting = Array.from({ length: 14 }, (_, count) => rates.take(at(`203.0.114.${count}`)))
  const settled = Promise.allSettled(waiting)
  clock.advance(3000)
  const verdicts = (await settled).map((one) => (one.status === 'fulfilled' ? 'slowed' : code(one.reason)))
  assert.ok(verdicts.includes('access.rate-limited') && verdicts.includes('slowed'), String(verdicts))
  await rates.take(at('198.51.100.1'))
})

test('guesses under ever new names are bounded by their network', async () => {
  const rates = new LoginRates(new SteppedClock())
  for (let count = 0; count < 60; count += 1) await rates.take({ organization: 'demo', name: `name-${count}`, source: '192.0.2.1' })
  await assert.rejects(rates.take({ organization: 'demo', name: 'one more', source: '192.0.2.1' }), limited)
  await rates.take({ organization: 'demo', name: 'one more', source: '192.0.2.2' })
})

/** The status line, as soon as it comes; the body that was announced is never sent. */
function headOnly(path: string, authorization: string | undefined, bytes: number): Promise<string> {
  const { hostname, port } = new URL(served.url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname)
    socket.on('error', reject)
    socket.once('data', (data) => {
      resolve(String(data).split('\r\n')[0] ?? '')
      socket.destroy()
    })
    socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${bytes}\r\n${authorization === undefined ? '' : `authorization: Bearer ${authorization}\r\n`}\r\n`)
  })
}

test('whoever has no key is refused by the header alone, with the body still to come', async () => {
  for (const path of ['/api/v1/organizations/demo/meshes/shop/apply', '/api/v1/organizations/demo/keys', '/k8s/demo/shop/api/v1/namespaces/default/configmaps'])
    for (const key of [undefined, 'nonsense']) assert.match(await headOnly(path, key, 6_000_000), / (401|429) /, path)
})

test('a way in that asks for no key reads no large body', async () => {
  for (const path of ['login', 'invitations', 'oidc/authorize', 'oidc/session']) assert.match(await headOnly(`/api/v1/organizations/demo/${path}`, undefined, 6_000_000), / 413 /, path)
})

test('of passwords so many are judged at once, so many wait, and the next is turned away', async () => {
  const stored = await hashPassword('correct horse battery')
  const all = await Promise.allSettled(Array.from({ length: 60 }, () => passwordMatches('wrong', stored)))
  assert.equal(all.filter((one) => one.status === 'fulfilled').length, 34)
  assert.ok(all.every((one) => one.status === 'fulfilled' || limited(one.reason)))
  assert.equal(await passwordMatches('correct horse battery', stored), true)
})

test('streams are bounded by credential and by organization, and make room when they end', () => {
  const streams = new LiveStreams({ liveCredentials: async (ids) => new Set(ids) }, new SteppedClock(), () => {})
  const bounds = { perCredential: 2, perOrganization: 3 }
  const hold = (id: string, organizationId = 'o') => streams.hold({ id, organizationId }, bounds)
  const [first] = [hold('a'), hold('a')]
  assert.throws(() => hold('a'), limited)
  hold('b')
  assert.throws(() => hold('c'), limited)
  hold('c', 'p')
  first.release()
  first.release()
  hold('c')
  assert.throws(() => hold('a'), limited)
})

test('a stream ends when its credential does, and not when the database is away; nobody asks while nothing is open', async () => {
  const clock = new SteppedClock()
  let alive: Set<string> | undefined = new Set(['a', 'b'])
  let asked = 0
  const failures: unknown[] = []
  const streams = new LiveStreams(
    {
      liveCredentials: async () => {
        asked += 1
        if (alive === undefined) throw new Error('away')
        return alive
      },
    },
    clock,
    (error) => failures.push(error),
  )
  const [a, b] = [streams.hold({ id: 'a', organizationId: 'o' }), streams.hold({ id: 'b', organizationId: 'o' })]
  const turn = async (): Promise<void> => {
    clock.advance(2000)
    await streams.judge()
  }
  await turn()
  assert.deepEqual([a.signal.aborted, b.signal.aborted], [false, false])
  alive = undefined
  await turn()
  assert.deepEqual([a.signal.aborted, b.signal.aborted, failures.length > 0], [false, false, true])
  alive = new Set(['b'])
  await turn()
  assert.deepEqual([a.signal.aborted, b.signal.aborted], [true, false])
  a.release()
  b.release()
  const before = asked
  clock.advance(60_000)
  assert.equal(asked, before)
  await streams.close()
})
