/**
 * Loaded before each test file by `npm test`: properties (fast-check) draw the same inputs in each run, so that a run says something of the change and not of the draw.
 * `WEFT_FUZZ_SEED` gives another seed; a test file that is run by itself draws anew each time.
 */
import { readFileSync } from 'node:fs'

const file = process.argv[1] ?? ''
if (file.endsWith('.test.ts') && readFileSync(file, 'utf8').includes("'fast-check'")) {
  const { default: fc } = await import('fast-check')
  fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(process.env['WEFT_FUZZ_SEED'] ?? 1) })
}
