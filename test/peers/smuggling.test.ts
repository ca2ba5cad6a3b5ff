import { test } from 'node:test'
import * as fc from 'fast-check'
import { corpus } from './smuggling-corpus.ts'
import { http2Corpus } from './smuggling-http2-corpus.ts'
import { nodeUpstream, upstreams } from './smuggling-upstreams.ts'
import { assertNoDesync, attack, attackAll, places, startPlace } from './smuggling-world.ts'

for (const [kind, make] of upstreams) {
  for (const place of places) {
    test(`no request is smuggled past ${place === 'gateway' ? 'a gateway' : `the ${place} listener`} to ${kind}`, { timeout: 300_000 }, async (t) => {
      const upstream = await make(t)
      const proxy = await startPlace(t, upstream, place)
      await t.test('over HTTP/1.1', (s) => attackAll(s, proxy, upstream, corpus()))
      await t.test('over HTTP/2', (s) => attackAll(s, proxy, upstream, http2Corpus()))
    })
  }
}

test('nor when attacks are cut, joined and garbled', { timeout: 300_000 }, async (t) => {
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
