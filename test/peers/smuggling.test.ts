import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { speak } from '#proxy/testing/peers.ts'
import { connectCorpus, corpus } from './smuggling-corpus.ts'
import { http2Connects, http2Corpus } from './smuggling-http2-corpus.ts'
import { nodeUpstream, upstreams } from './smuggling-upstreams.ts'
import { assertNoDesync, attack, attackAll, places, startPlace, startTunnels } from './smuggling-world.ts'

for (const [kind, make] of upstreams) {
  for (const place of places) {
    test(`no request is smuggled past ${place === 'gateway' ? 'a gateway' : `the ${place} listener`} to ${kind}`, async (t) => {
      const upstream = await make(t)
      const proxy = await startPlace(t, upstream, place)
      await t.test('over HTTP/1.1', (s) => attackAll(s, proxy, upstream, corpus()))
      await t.test('over HTTP/2', (s) => attackAll(s, proxy, upstream, http2Corpus()))
    })
  }
}

test('nor into a listener that takes CONNECT, where the far end of a tunnel gets what it was dug for alone', async (t) => {
  const upstream = await nodeUpstream(t, true)
  const { proxy, tunnelled } = await startTunnels(t, upstream)
  assert.match(await speak(proxy.port, 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n', (text) => text.includes('\r\n\r\n')), /^HTTP\/1\.1 200 /)
  await t.test('over HTTP/1.1', (s) => attackAll(s, proxy, upstream, connectCorpus()))
  await t.test('over HTTP/2', (s) => attackAll(s, proxy, upstream, http2Connects()))
  assert.equal(tunnelled.filter((bytes) => bytes.includes('/never')).length, 0)
})

test('nor when attacks are cut, joined and garbled', async (t) => {
  const upstream = await nodeUpstream(t, true)
  const proxy = await startPlace(t, upstream, 'outbound')
  const all = corpus().map((one) => one.bytes)
  const byte = fc.constantFrom('\r', '\n', '\0', ' ', '\t', ':', ';', ',', '0', '1', 'a', '\x0b', '\xff', '\r\n', '')
  const garbled = fc.tuple(fc.constantFrom(...all), fc.array(fc.tuple(fc.nat(400), byte), { maxLength: 4 }), fc.option(fc.constantFrom(...all))).map(([first, edits, second]) => {
    let text = first + (second ?? '')
    for (const [at, what] of edits) text = text.slice(0, at % text.length) + what + text.slice((at % text.length) + 1)
    return text
  })
  let nth = 0
  await fc.assert(
    fc.asyncProperty(garbled, async (bytes) => {
      await attack(proxy.port, bytes)
      await assertNoDesync(proxy, upstream, JSON.stringify(bytes), `/victim-${nth++}`)
    }),
    { numRuns: 300, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: false },
  )
})
