import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fieldsRead } from '#api/translate/testing/fields-read.ts'
import { parseObject } from '#core/resource/parse.ts'
import { actingFields } from '#core/resource/support-fields.ts'
import { inertFields } from '#core/resource/support.ts'
import { readProofs } from './proven.ts'
import { actsIn, PAGE_FILE, pageText } from './support.ts'

test('the page on what takes effect is printed from the registry', () => {
  assert.equal(readFileSync(PAGE_FILE, 'utf8'), pageText(), 'run: node infra/docs/support.ts && node infra/docs/support.ts --page')
})

test('what golden cases say they prove are fields of a kind', () => {
  assert.deepEqual(readProofs().unknown, [])
})

test('every field that is said to take effect is one at which translation looks', (context) => {
  const read = fieldsRead()
  const claimed = Object.entries(actingFields)
  assert.deepEqual(claimed.flatMap(([word, paths]) => paths.filter((path) => !actsIn({ kind: word.split('.')[0] ?? '' }, path, read.get(word))).map((path) => `${word} ${path}`)), [])
  const known = new Map(claimed.map(([word, paths]) => [word, new Set(paths)]))
  const late = [...read].flatMap(([word, paths]) => (known.has(word) ? [...paths].filter((path) => known.get(word)?.has(path) !== true).map((path) => `${word} ${path}`) : []))
  if (late.length > 0) context.diagnostic(`translation now looks at ${late.join(', ')}: run node infra/docs/support.ts`)
})

test('a field on which nothing acts is named once, at the outermost place', () => {
  const { object, kind } = parseObject({
    apiVersion: 'networking.istio.io/v1',
    kind: 'Sidecar',
    metadata: { name: 'a', namespace: 'prod' },
    spec: { inboundConnectionPool: { http: { http2MaxRequests: 10, http2KeepAlive: { interval: '5s', timeout: '1s' } } } },
  })
  assert.ok(object !== undefined && kind !== undefined)
  assert.deepEqual(inertFields(kind, object).map((one) => [one.code, one.severity, one.path, one.resource]), [['object.field-inert', 'warning', 'spec.inboundConnectionPool.http.http2KeepAlive', 'Sidecar/prod/a']])
})

test('a kind on which nothing acts is named as a whole', () => {
  const { object, kind } = parseObject({ apiVersion: 'networking.istio.io/v1beta1', kind: 'ProxyConfig', metadata: { name: 'a', namespace: 'prod' }, spec: { concurrency: 1 } })
  assert.ok(object !== undefined && kind !== undefined)
  // There is none today, so one of another name stands for it.
  assert.deepEqual(inertFields({ ...kind, kind: 'Later' }, object).map((one) => one.path), ['spec'])
})
