import { test } from 'node:test'
import { simulate } from './simulate.ts'

/** Seeds of a run; each is a history of its own. */
const seedsMax = 3000
/** A slow machine looks at fewer. */
const budgetMs = 45_000

/** Seeds that once failed, and what was wrong. */
const regressions: readonly (readonly [seed: number, what: string])[] = [[93, 'a cluster that goes and comes back as it was leaves nothing unacknowledged']]

for (const [seed, what] of regressions) test(`seed ${seed}: ${what}`, () => simulate(seed))

test('whatever happens between commit and proxy, in the end every proxy holds exactly what its scope says', (t) => {
  const startedMs = performance.now()
  let seed = 1
  for (; seed <= seedsMax && performance.now() - startedMs < budgetMs; seed += 1) {
    try {
      simulate(seed)
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
  }
  t.diagnostic(`${seed - 1} seeds in ${Math.round(performance.now() - startedMs)} ms`)
})
