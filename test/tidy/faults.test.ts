import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { faultCodes } from '#core/fault/codes.ts'
import { sourceFiles } from './sources.ts'

test('docs/faults.md lists every fault code, in order and in its own words', () => {
  const rows = [...readFileSync('docs/faults.md', 'utf8').matchAll(/^\| `([a-z.-]+)` \| ([^|]+) \|/gm)].map(([, code, what]) => [code, what?.trim()])
  assert.deepEqual(rows, Object.entries(faultCodes))
})

test('every fault code is used', () => {
  const used = sourceFiles()
    .filter((file) => file !== 'core/fault/codes.ts' && !file.includes('.test.'))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n')
  assert.deepEqual(
    Object.keys(faultCodes).filter((code) => !used.includes(`'${code}'`)),
    [],
  )
})
