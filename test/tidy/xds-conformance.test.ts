import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { PAGE_FILE, pageText, proofs, rules } from '#infra/docs/xds-conformance.ts'

test('every rule of discovery has a test that names it, and those about Envoy one on the binary', () => {
  const found = proofs()
  const numbers = rules.map((_rule, at) => at + 1)
  assert.deepEqual(numbers.filter((rule) => !found.some((proof) => proof.rule === rule)), [], 'rules without a test')
  assert.deepEqual(numbers.filter((rule) => rules[rule - 1]?.envoy && !found.some((proof) => proof.rule === rule && proof.envoy)), [], 'rules without a test on Envoy')
  assert.deepEqual(found.filter(({ rule }) => rules[rule - 1] === undefined), [])
})

test('docs/reference/xds-conformance.md is as its generator writes it', () => {
  assert.equal(readFileSync(PAGE_FILE, 'utf8'), pageText(), 'run node infra/docs/xds-conformance.ts')
})
