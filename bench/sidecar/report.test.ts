import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Report } from './report.ts'

const samples = new Map([['envoy', [60, 40, 80]], ['weft', [20, 20, 20]]])

test('a ratio is of one round, says how often better, and is held against its goal', (t) => {
  t.mock.method(console, 'log', () => undefined)
  const report = new Report()
  report.measure({ work: 'plain', name: 'CPU', unit: 'µs', better: 'less', samples, goals: [{ subject: 'weft', peer: 'envoy', ratio: 3 }] })
  report.measure({ work: 'plain', name: 'requests', unit: '/s', better: 'more', samples, goals: [{ subject: 'weft', peer: 'envoy', ratio: 1 }] })
  const [envoy, weft, , more] = report.figures
  assert.deepEqual(envoy?.besides, [])
  assert.deepEqual([envoy?.value, weft?.value], [60, 20])
  assert.deepEqual(weft?.besides, [{ peer: 'envoy', ratio: 3, lowest: 2, highest: 4, goal: 3, met: true }])
  assert.deepEqual(more?.besides, [{ peer: 'envoy', ratio: 1 / 3, lowest: 0.25, highest: 0.5, goal: 1, met: false }])
})

test('a limit holds for Weft alone, and a subject without samples has no line', (t) => {
  const lines = t.mock.method(console, 'log', () => undefined)
  const report = new Report()
  report.measure({ work: 'start', name: 'start', unit: 'ms', better: 'less', samples: new Map([...samples, ['nothing', []]]), limit: 10 })
  assert.deepEqual(report.figures.map(({ subject, limit, met }) => [subject, limit, met]), [['envoy', undefined, undefined], ['weft', 10, false]])
  assert.equal(lines.mock.callCount(), 2)
})
