import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { seededRandom } from '#core/time/seeded.ts'
import { cut, mutated } from './mutate.ts'
import { targets } from './targets.ts'

/** For how long each target is tried; the seed is told, and given again brings the same inputs. */
const SECONDS = Number(process.env['WEFT_FUZZ_SECONDS'] ?? 5)
const SEED = Number(process.env['WEFT_FUZZ_SEED'] ?? Date.now() % 1_000_000)
/** Writes inputs with new outcomes into the corpus. */
const KEEPS = process.env['WEFT_FUZZ_KEEP'] === '1'
const CORPUS_MAX = 120

for (const [name, target] of Object.entries(targets)) {
  test(`no bytes bring the reader of ${name} out of step`, { timeout: SECONDS * 1000 + 60_000 }, (t) => {
    const file = join(import.meta.dirname, 'corpus', `${name}.txt`)
    const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter((line) => line !== '') : []
    const inputs: Buffer[] = [...target.seeds.map((seed) => Buffer.from(seed, 'latin1')), ...lines.map((line) => Buffer.from(line, 'base64'))]
    const random = seededRandom(SEED)
    const outcomes = new Set<string>()
    const kept: string[] = []
    const judge = (bytes: Buffer): boolean => {
      try {
        const whole = target.read([bytes])
        assert.deepEqual(target.read(cut(random, bytes)), whole, 'the same bytes in pieces come to something else')
        assert.deepEqual(target.read(Array.from(bytes, (byte) => Buffer.of(byte))), whole, 'and byte by byte')
        const outcome = whole.map((event) => event.replaceAll(/\d{2,}/g, 'n')).join('|').slice(0, 300)
        return outcomes.size < outcomes.add(outcome).size
      } catch (error) {
        throw new Error(`${name}, seed ${SEED}, input ${bytes.toString('base64')}`, { cause: error })
      }
    }
    for (const input of inputs) judge(input)
    const known = outcomes.size
    let tries = 0
    for (const endMs = performance.now() + SECONDS * 1000; performance.now() < endMs; tries++) {
      const bytes = mutated(random, inputs)
      if (!judge(bytes) || inputs.length >= CORPUS_MAX) continue
      inputs.push(bytes)
      kept.push(bytes.toString('base64'))
    }
    if (KEEPS && kept.length > 0) writeFileSync(file, `${[...lines, ...kept].join('\n')}\n`)
    t.diagnostic(`${tries} inputs, seed ${SEED}: ${known} outcomes by the corpus of ${lines.length}, ${outcomes.size} in all`)
  })
}
