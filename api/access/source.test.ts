import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { restApi } from '../rest/app.ts'
import { openApi, serveApp } from '#test/parts/api.ts'
import type { ApiUnderTest } from '#test/parts/api.ts'
import { RequestRates } from './enter.ts'
import { LoginRates } from './login-rates.ts'
import { forwardedSource, trustedProxies } from './source.ts'
import { SteppedClock } from '#core/time/seeded.ts'

const balancers = trustedProxies(['10.0.0.0/8', '192.0.2.7', '2001:db8:aa::/48'])
const from = (peer: string, forwardedFor?: string): string => forwardedSource(peer, forwardedFor, balancers)

test('what a stranger says of others is not believed', () => {
  assert.equal(from('198.51.100.1', '203.0.113.9'), '198.51.100.1')
  assert.equal(from('::ffff:198.51.100.1', '10.0.0.1'), '::ffff:198.51.100.1')
})

test('behind balancers it is the last address that is none of theirs; what stands before is made up', () => {
  assert.equal(from('10.1.2.3', '203.0.113.9'), '203.0.113.9')
  assert.equal(from('::ffff:10.1.2.3', '6.6.6.6, 203.0.113.9, 192.0.2.7'), '203.0.113.9')
  assert.equal(from('2001:db8:aa::1', '6.6.6.6, 2001:db8:bb::5'), '2001:db8:bb::5')
  assert.equal(from('192.0.2.8', '203.0.113.9'), '192.0.2.8', 'one address is no network')
})

test('ports are left out, and whoever cannot be named is the one who says so', () => {
  assert.equal(from('10.1.2.3', '203.0.113.9:4711'), '203.0.113.9')
  assert.equal(from('10.1.2.3', '[2001:db8:bb::5]:4711'), '2001:db8:bb::5')
  for (const nobody of [undefined, '', 'unknown', '_hidden', '203.0.113.9, unknown', '1.2.3.4.5', ' , ']) assert.equal(from('10.1.2.3', nobody), '10.1.2.3', String(nobody))
  assert.equal(from('10.1.2.3', '10.9.9.9, 10.8.8.8'), '10.9.9.9', 'one balancer asks by itself')
})

test('what is no network is refused by name', () => {
  for (const wrong of ['10.0.0.0/33', '10.0.0/8', 'example.com', '10.0.0.0/8/8', '10.0.0.0/-1', '10.0.0.0/', '::/129', '']) assert.throws(() => trustedProxies([wrong]), RangeError, wrong)
})

let api: ApiUnderTest
let served: Awaited<ReturnType<typeof serveApp>>
before(async () => {
  const clock = new SteppedClock()
  api = await openApi({ trustedProxies: trustedProxies(['127.0.0.0/8']), rates: { requests: new RequestRates(() => 0), logins: new LoginRates(clock) } })
  served = await serveApp(restApi(api.doors))
})
after(async () => {
  await served?.close()
  await api?.close()
})

const guess = (source: string, key = 'weft_key_made_up'): Promise<Response> => fetch(`${served.url}/api/v1/organizations`, { headers: { authorization: `Bearer ${key}`, 'x-forwarded-for': source } })

test('behind a balancer one caller’s guesses hold no other caller up, and the log names where each came from; what is turned away is counted', async () => {
  let turnedAway = 0
  for (let at = 0; at < 220; at += 1) {
    const { status, body } = await guess('203.0.113.9')
    await body?.cancel()
    if (status === 429) turnedAway += 1
  }
  assert.equal(turnedAway, 20)
  assert.equal((await guess('203.0.113.10')).status, 401, 'another one behind the same balancer')
  const owner = await api.key('owner')
  const made = await fetch(`${served.url}/api/v1/organizations/demo/meshes`, { method: 'POST', headers: { authorization: `Bearer ${owner}`, 'content-type': 'application/json', 'x-forwarded-for': '6.6.6.6, 203.0.113.11' }, body: JSON.stringify({ name: 'behind' }) })
  assert.equal(made.status, 201, await made.text())
  await api.doors.audit?.settled()
  const log = (await (await fetch(`${served.url}/api/v1/organizations/demo/audit`, { headers: { authorization: `Bearer ${owner}` } })).json()) as { items: { source: string; path: string }[] }
  assert.equal(log.items.find((one) => one.path.endsWith('/meshes'))?.source, '203.0.113.11')
  assert.deepEqual([...(api.doors.turnedAway?.entries() ?? [])], [['rest', 20]], 'what was turned away is counted')
})
