import assert from 'node:assert/strict'
import test from 'node:test'
import type { Fault } from '#core/fault/fault.ts'
import { describeFault, fault } from '#core/fault/fault.ts'
import { ApiError } from './client.ts'

const weight = (path: string, line: number): Fault => ({ ...fault('object.field-range', { path, value: 101, rule: 'must be 0 to 100' }), source: { file: 'canary.yaml', line } })

test('one finding is told once, with its place', () => {
  const one = weight('spec.http[0].route[0].weight', 12)
  const error = new ApiError({ status: 422, detail: describeFault(one), errors: [one] })
  assert.equal(error.words(), 'error: canary.yaml:12: spec.http[0].route[0].weight: 101: must be 0 to 100')
})

test('several findings stand under their summary', () => {
  const faults = [weight('spec.a', 3), weight('spec.b', 4)]
  const error = new ApiError({ status: 422, detail: '2 findings', errors: faults })
  assert.equal(error.words(), 'error: 2 findings\n  canary.yaml:3: spec.a: 101: must be 0 to 100\n  canary.yaml:4: spec.b: 101: must be 0 to 100')
})
