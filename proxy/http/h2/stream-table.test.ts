import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LiveSet } from '../live-set.ts'
import { Connection } from './connection.ts'
import { StreamTable } from './stream-table.ts'
import { Stream } from './stream.ts'
import { FieldTable } from '../head-scan.ts'

const noop = (): void => undefined
const connection = new Connection({ headFields: new FieldTable(), onRequest: noop, onGoaway: noop, onSettings: noop, onPong: noop, onStreamClosed: noop, onFailed: noop }, true, { streamWindow: 65_535, connectionWindow: 65_535, concurrentStreamsMax: 100, headerBytesMax: 1000 }, 0)

test('a table of streams holds what a Map would, whatever the numbers', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 400 })), { maxLength: 300 }), (steps) => {
      const table = new StreamTable()
      const model = new Map<number, Stream>()
      for (const [adds, number] of steps) {
        // Multiples of 32 share a slot.
        const id = number % 3 === 0 ? 32 * number + 1 : 2 * number + 1
        if (adds && !model.has(id)) {
          const stream = new Stream(connection, id, 0, 0)
          table.add(stream)
          model.set(id, stream)
        } else {
          table.delete(id)
          model.delete(id)
        }
        assert.equal(table.size, model.size)
        assert.equal(table.get(id), model.get(id))
      }
      assert.deepEqual(table.all().map((one) => one.id), [...model.keys()].sort((a, b) => a - b))
      for (const [id, stream] of model) assert.equal(table.get(id), stream)
    }),
  )
})

test('a live set holds what a Set would, and lets its members leave while it is walked', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { maxLength: 100 }), (steps) => {
      const items = Array.from({ length: 21 }, () => ({ place: -1 }))
      const live = new LiveSet<{ place: number }>()
      const model = new Set<{ place: number }>()
      for (const at of steps) {
        const item = items[at]
        if (item === undefined) continue
        if (model.delete(item)) live.delete(item)
        else {
          live.add(item)
          model.add(item)
        }
        assert.equal(live.size, model.size)
      }
      assert.deepEqual(new Set(live), model)
      for (const item of live) live.delete(item)
      assert.equal(live.size, 0)
    }),
  )
})
