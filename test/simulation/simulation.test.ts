import { test } from 'node:test'
import { simulate } from './simulate.ts'

/** Seeds that once failed, and what was wrong. */
const regressions: readonly (readonly [seed: number, what: string])[] = [[37, 'changes that could not be read are asked for again, though they are told once']]

for (const [seed, what] of regressions) test(`seed ${seed}: ${what}`, () => simulate(seed))

/** Each seed is a history of its own. `WEFT_SEEDS` looks at more of them. */
const parts = 4
const seedsOfPart = Math.ceil(Math.max(2000, Number(process.env['WEFT_SEEDS'] ?? 0)) / parts)

for (let part = 0; part < parts; part += 1) {
  const [first, last] = [part * seedsOfPart + 1, (part + 1) * seedsOfPart]
  test(`whatever happens between commit and proxy, in the end every proxy holds exactly what its scope says: histories ${first} to ${last}`, async (t) => {
    const startedMs = performance.now()
    for (let seed = first; seed <= last; seed += 1) {
      try {
        await simulate(seed)
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
      }
    }
    t.diagnostic(`${last - first + 1} seeds in ${Math.round(performance.now() - startedMs)} ms`)
  })
}
