import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { judgeRows, type AnyRow } from './recorded-rows.ts'
import type { RecordedConfig } from './recorded-world.ts'

const folder = join(import.meta.dirname, '../../../shared/data/istio')
const write = process.env['WEFT_WRITE'] === '1'

/** Cases that differ today, by file and by reason, which is a line of docs/reference/istio-differences.md. One that begins to agree is noticed as much as one that ceases to: WEFT_WRITE=1 takes out the former and puts the latter under no reason. */
const differing = join(import.meta.dirname, 'recorded-differences.json')
const page = join(import.meta.dirname, '../../docs/reference/istio-differences.md')

type Differences = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>
const knownDifferences = (): Differences => JSON.parse(readFileSync(differing, 'utf8')) as Differences

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
    const known = knownDifferences()
    const reasons = known[name] ?? {}
    if (write) {
      const explained = Object.entries(reasons).map(([reason, ids]) => [reason, ids.filter((id) => differ.includes(id))] as const)
      const others = differ.filter((id) => !Object.values(reasons).flat().includes(id))
      const all = [...explained, ...(others.length === 0 ? [] : [['', others] as const])].filter(([, ids]) => ids.length > 0)
      writeFileSync(differing, `${JSON.stringify({ ...known, [name]: Object.fromEntries(all) }, undefined, 1)}\n`)
    } else {
      const why = new Map(judged.map((one) => [one.id, one.why]))
      const expected = new Set(Object.values(reasons).flat())
      assert.deepEqual(differ.filter((id) => !expected.has(id)).map((id) => `${id}: ${why.get(id)}`), [], 'these agreed before')
      assert.deepEqual([...expected].filter((id) => !differ.includes(id)), [], 'these agree now: run with WEFT_WRITE=1')
    }
  })
}

test('each reason for which recorded calls differ has its line on the page of differences, and each line there that names a reason has calls that differ', () => {
  const named = [...readFileSync(page, 'utf8').matchAll(/^\| [^|]*\(recorded: `([a-z-]+)`\) \|/gm)].map((found) => found[1] ?? '')
  const reasons = new Set(Object.values(knownDifferences()).flatMap((of) => Object.keys(of)))
  assert.deepEqual([...named].sort(), [...reasons].sort())
})
