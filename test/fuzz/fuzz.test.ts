import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { seededRandom } from '#core/time/seeded.ts'
import { findingsOf, keepFinding, shrunk } from './findings.ts'
import { cut, mutated } from './mutate.ts'
import { targets } from './targets.ts'

/** For how long each target is tried. */
const SECONDS = Number(process.env['WEFT_FUZZ_SECONDS'] ?? 0)
/**
 * The same seed brings the same inputs in the same order, so that a run says something of the change at hand and not of chance; a machine's speed decides only
 * how far it gets. Who looks for new findings gives another with WEFT_FUZZ_SEED, and more WEFT_FUZZ_SECONDS: what fails is kept under corpus/ and tried ever after.
 */
const SEED = Number(process.env['WEFT_FUZZ_SEED'] ?? 1)
/** Writes inputs with new outcomes into the corpus. */
const KEEPS = process.env['WEFT_FUZZ_KEEP'] === '1'
const CORPUS_MAX = 160

for (const [name, target] of Object.entries(targets)) {
  const seconds = SECONDS === 0 ? (target.seconds ?? 6) : SECONDS
  test(`no bytes bring the reader of ${name} out of step`, { timeout: seconds * 1000 + 120_000 }, (t) => {
    const file = join(import.meta.dirname, 'corpus', `${name}.txt`)
    const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter((line) => line !== '') : []
    const inputs: Buffer[] = [...target.seeds.map((seed) => Buffer.from(seed, 'latin1')), ...lines.map((line) => Buffer.from(line, 'base64'))]
    const random = seededRandom(SEED)
    const outcomes = new Set<string>()
    const kept: string[] = []
    const tryOut = (bytes: Buffer): string => {
      const whole = target.read([bytes])
      assert.deepEqual(target.read(cut(random, bytes)), whole, 'the same bytes in pieces come to something else')
      assert.deepEqual(target.read(Array.from(bytes, (byte) => Buffer.of(byte))), whole, 'and byte by byte')
      return whole.map((event) => event.replaceAll(/\d{2,}/g, 'n')).join('|').slice(0, 300)
    }
    const breaks = (bytes: Buffer): boolean => {
      try {
        tryOut(bytes)
        return false
      } catch {
        return true
      }
    }
    /** Whether the input comes to something new. */
    const judge = (bytes: Buffer): boolean => {
      try {
        return outcomes.size < outcomes.add(tryOut(bytes)).size
      } catch (error) {
        throw new Error(`${name}, seed ${SEED}: kept as ${keepFinding(name, shrunk(bytes, breaks))}`, { cause: error })
      }
    }
    const findings = findingsOf(name)
    for (const input of [...findings, ...inputs]) judge(input)
    inputs.push(...findings)
    const known = outcomes.size
    let tries = 0
    for (const endMs = performance.now() + seconds * 1000; performance.now() < endMs; tries++) {
      const bytes = mutated(random, inputs)
      if (!judge(bytes) || inputs.length >= CORPUS_MAX) continue
      inputs.push(bytes)
      kept.push(bytes.toString('base64'))
    }
    if (KEEPS && kept.length > 0) writeFileSync(file, `${[...lines, ...kept].join('\n')}\n`)
    t.diagnostic(`${tries} inputs, seed ${SEED}: ${known} outcomes by the corpus of ${lines.length}, ${outcomes.size} in all`)
  })
}
