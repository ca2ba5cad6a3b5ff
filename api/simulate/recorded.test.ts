import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { judgeRows, type AnyRow } from './recorded-rows.ts'
import type { RecordedConfig } from './recorded-world.ts'

const folder = join(import.meta.dirname, '../../../shared/data/istio')
const write = process.env['WEFT_WRITE'] === '1'

/** Cases that differ today, by file. One that begins to agree is noticed as much as one that ceases to: WEFT_WRITE=1 writes what is so. */
const differing = join(import.meta.dirname, 'recorded-differences.json')

const linesOf = <T>(file: string): T[] =>
  readFileSync(join(folder, file), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T)

for (const name of ['simulation', 'scenarios', 'access']) {
  test(`recorded calls of ${name} become what they became, but for those that are known to differ`, (context) => {
    if (!existsSync(join(folder, `${name}.jsonl`))) {
      context.skip('the recorded cases are not beside this repository')
      return
    }
    const judged = [...judgeRows(linesOf<AnyRow>(`${name}.jsonl`), linesOf<RecordedConfig>(`${name}-configs.jsonl`))]
    const differ = judged.filter((one) => !one.pass).map((one) => one.id).sort()
    context.diagnostic(`${name}: ${judged.length - differ.length} of ${judged.length} agree`)
    const known = JSON.parse(readFileSync(differing, 'utf8')) as Record<string, string[]>
    if (write) writeFileSync(differing, `${JSON.stringify({ ...known, [name]: differ }, undefined, 1)}\n`)
    else {
      const why = new Map(judged.map((one) => [one.id, one.why]))
      const expected = new Set(known[name])
      assert.deepEqual(differ.filter((id) => !expected.has(id)).map((id) => `${id}: ${why.get(id)}`), [], 'these agreed before')
      assert.deepEqual([...expected].filter((id) => !differ.includes(id)), [], 'these agree now: run with WEFT_WRITE=1')
    }
  })
}
