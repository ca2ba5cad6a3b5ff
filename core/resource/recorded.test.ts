import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { readDocuments } from './documents.ts'
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
  /** In crd-validation.jsonl: what the webhook says, where `verdict` is the schema's alone. */
  readonly semantic?: string
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
    // The schema never warns: where it accepts, the webhook's warning stands.
    const expected = (row: Row): string => (file.startsWith('crd') && row.verdict === 'accept' && row.semantic === 'warn' ? 'warn' : row.verdict)
    const differing = all.map((row) => ({ row, ours: verdictOn(row) })).filter(({ row, ours }) => ours.verdict !== expected(row))
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

test("Istio's own samples get the verdicts that Istio gave them", { skip: existsSync(`${folder}samples/samples.jsonl`) ? false : 'the samples are not here' }, (context) => {
  const verdicts = JSON.parse(readFileSync(`${folder}samples/verdicts.json`, 'utf8')) as { file: string; object: string; verdict: string }[]
  const covered = new Set(kinds.map((one) => one.kind))
  const texts = new Map(readFileSync(`${folder}samples/samples.jsonl`, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as { path: string; yaml: string }).map(({ path, yaml }) => [path, yaml]))
  const judged = new Map<string, string>()
  for (const [path, yaml] of texts) {
    for (const { value } of readDocuments(yaml, path).documents) {
      const parsed = parseObject(value, { defaultNamespace: 'default' })
      const { kind, metadata } = value as { kind?: string; metadata?: { name?: string; namespace?: string } }
      const verdict = parsed.object === undefined ? `reject: ${parsed.faults.map(describeFault).join(' | ')}` : parsed.faults.length > 0 ? 'warn' : 'accept'
      judged.set(`${path} ${kind} ${metadata?.namespace ? `${metadata.namespace}/` : ''}${metadata?.name}`, verdict)
    }
  }
  const expected = verdicts.filter((one) => covered.has(one.object.split(' ')[0] ?? ''))
  const differing = expected.map((one) => ({ ...one, ours: judged.get(`${one.file} ${one.object}`) })).filter((one) => one.ours !== undefined && one.ours !== one.verdict)
  const found = expected.filter((one) => judged.has(`${one.file} ${one.object}`)).length
  context.diagnostic(`${found - differing.length} of ${found} verdicts agree`)
  assert.ok(found > 0)
  assert.deepEqual(differing, [])
})
