import assert from 'node:assert/strict'
import { test } from 'node:test'
import { soak } from '#bench/soak/soak.ts'

test('two minutes of load, changes and failing servers lose no response, leave nothing stuck, and do not grow memory', async (t) => {
  const result = await soak(120, 150, (line) => t.diagnostic(line))
  t.diagnostic(`${result.requests} requests, ${JSON.stringify(result.byFate)}; RSS ${(result.rssStartBytes / 1e6).toFixed(1)} → ${(result.rssEndBytes / 1e6).toFixed(1)} MB, ${(result.rssBytesPerMinute / 1e6).toFixed(2)} MB a minute`)
  assert.deepEqual(result.wrong, [])
  assert.deepEqual([result.left.active, result.left.endpointsBusy, result.left.connections], [0, 0, 0])
  // Two minutes hold garbage collection's own swing: an hour (npm run soak) is held to a tenth of this.
  assert.ok(result.rssBytesPerMinute < 10e6, `memory grows by ${(result.rssBytesPerMinute / 1e6).toFixed(2)} MB a minute`)
})
