import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseObject } from './parse.ts'
import { kinds } from './registry.ts'
import { describeFault } from '../fault/fault.ts'

const folder = fileURLToPath(new URL('../../../shared/data/istio/', import.meta.url))
const known = JSON.parse(readFileSync(new URL('./recorded-differences.json', import.meta.url), 'utf8')) as Record<string, string>

interface Row {
  readonly id: string
  readonly object: { apiVersion?: string; kind?: string; metadata?: { name?: string; namespace?: string } }
  readonly verdict: 'accept' | 'warn' | 'reject'
  readonly words?: unknown
}

function rows(file: string): Row[] {
  const covered = new Set(kinds.map((one) => one.kind))
  return readFileSync(folder + file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row)
    .filter((row) => covered.has(row.object.kind ?? ''))
}

function verdictOn(row: Row): { verdict: string; why: string } {
  const parsed = parseObject(row.object, { defaultNamespace: 'default' })
  const why = parsed.faults.map(describeFault).join(' | ')
  return { verdict: parsed.object === undefined ? 'reject' : parsed.faults.length > 0 ? 'warn' : 'accept', why }
}

for (const file of ['validation.jsonl', 'crd-validation.jsonl']) {
  test(`objects get the verdicts that Istio gave them (${file})`, { skip: existsSync(folder + file) ? false : `${file} is not here` }, (context) => {
    const all = rows(file)
    const differing = all.map((row) => ({ row, ours: verdictOn(row) })).filter(({ row, ours }) => ours.verdict !== row.verdict)
    context.diagnostic(`${all.length - differing.length} of ${all.length} verdicts agree (${((100 * (all.length - differing.length)) / all.length).toFixed(1)} %)`)
    const unknown = differing.filter(({ row }) => known[row.id] === undefined)
    if (process.env['WEFT_SHOW_DIFFERENCES']) {
      for (const { row, ours } of unknown) context.diagnostic(`${row.id} ${row.object.kind}: Istio ${row.verdict} ${JSON.stringify(row.words ?? '')}; here ${ours.verdict} ${ours.why} ${JSON.stringify(row.object)}`)
    }
    assert.deepEqual(
      unknown.map(({ row, ours }) => `${row.id} ${row.object.kind}: Istio ${row.verdict}, here ${ours.verdict}: ${ours.why}`),
      [],
    )
  })
}
