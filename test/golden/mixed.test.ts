import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Player, type Script } from '#cli/engines/play.ts'
import { scriptOf } from './golden-suite.ts'

/** What the caller of one engine says to the callee of the other, where the callee learns it from ALPN alone. */
async function scriptTo(workload: string): Promise<Script> {
  const { about, objects } = await scriptOf('sniffed-ports')
  const tests = (about.tests ?? []).filter((one) => one.from === 'client.prod' && one.request.url.includes(`//${workload}.`))
  assert.ok(tests.length > 0)
  return { about: { ...about, workloads: (about.workloads ?? []).filter(({ name }) => name === 'client' || name === `${workload}-1`), tests }, objects }
}

describe('a stock Envoy and the bundled proxy agree on what mTLS has inside', { concurrency: 2 }, () => {
  for (const [caller, callee] of [['envoy', 'weft'], ['weft', 'envoy']] as const) {
    test(`${caller} calls ${callee}`, { timeout: 900_000 }, async () => {
      const player = await Player.open(caller, undefined, undefined, ['held-1'])
      try {
        const played = []
        for await (const { name, result, why } of player.play(await scriptTo('held'))) played.push(result === 'pass' ? 'pass' : `${name}: ${result}: ${why}`)
        assert.deepEqual([...new Set(played)], ['pass'])
      } finally {
        await player.close()
      }
    })
  }
})
