import assert from 'node:assert/strict'
import test from 'node:test'
import { requestFrom } from '../route/request.ts'
import { defaultJsonFields, defaultTextFormat } from './access-log.ts'
import { constantText, parseFormat } from './format.ts'
import { formatTraceparent, parseTraceparent, readTraceContext } from './trace-context.ts'

const operator = (name: string, argument = '', alternative?: string, lengthMax?: number) => ({ kind: 'operator' as const, name, argument, alternative, lengthMax })

test('a format is text and operators', () => {
  assert.deepEqual(parseFormat('a %REQ(X-A?:X-B):10% %% %START_TIME(%Y-%m)%'), [
    { kind: 'text', text: 'a ' },
    operator('REQ', 'x-a', 'x-b', 10),
    { kind: 'text', text: ' % ' },
    operator('START_TIME', '%Y-%m'),
  ])
  assert.deepEqual(parseFormat('%METADATA(ROUTE:weft:resource)%'), [operator('METADATA', 'ROUTE:weft:resource')])
})

test('a malformed operator is none', () => {
  assert.deepEqual(['%', '%REQ', '%req(a)%', '50% off', '%REQ(a)'].map(parseFormat), [undefined, undefined, undefined, undefined, undefined])
})

test('a format without operators is its text', () => {
  assert.deepEqual(['', '8080', '100%%', '%REQ(a)%'].map((one) => constantText(parseFormat(one) ?? [])), ['', '8080', '100%', undefined])
})

test('the default formats are well formed', () => {
  for (const format of [defaultTextFormat, ...defaultJsonFields.map((field) => field.format)]) assert.ok(parseFormat(format), format)
})

const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
const span = '00f067aa0ba902b7'

test('a traceparent is read as the W3C has it', () => {
  assert.deepEqual(parseTraceparent(formatTraceparent(trace, span, true)), { traceId: trace, parentId: span, sampled: true })
  assert.equal(parseTraceparent(`00-${trace}-${span}-00`)?.sampled, false)
  assert.equal(parseTraceparent(`01-${trace}-${span}-01-more`)?.sampled, true)
  for (const bad of [`00-${trace}-${span}-01-more`, `ff-${trace}-${span}-01`, `00-${'0'.repeat(32)}-${span}-01`, `00-${trace}-${'0'.repeat(16)}-01`, `00-${trace.toUpperCase()}-${span}-01`]) {
    assert.equal(parseTraceparent(bad), undefined, bad)
  }
})

test('each flag byte of a traceparent says whether it is sampled, and a byte that is no hex digit spoils it wherever it stands', () => {
  for (let flags = 0; flags < 256; flags++) assert.equal(parseTraceparent(`00-${trace}-${span}-${flags.toString(16).padStart(2, '0')}`)?.sampled, flags % 2 === 1)
  const good = `00-${trace}-${span}-01`
  for (let at = 0; at < good.length; at++) for (const bad of ['g', 'A', '/', ':', '`', ' ']) assert.equal(parseTraceparent(good.slice(0, at) + bad + good.slice(at + 1)), undefined, `${bad} at ${at}`)
  for (let length = 0; length < good.length; length++) assert.equal(parseTraceparent(good.slice(0, length)), undefined)
  assert.equal(parseTraceparent(`01-${trace}-${span}-01.more`), undefined)
})

test('B3 is read in one header and in several, and W3C comes first', () => {
  const read = (headers: Record<string, string>) => readTraceContext(requestFrom({ authority: 'x', headers }))
  assert.deepEqual(read({ b3: `${trace}-${span}-1` }), { traceId: trace, parentId: span, sampled: true })
  assert.deepEqual(read({ 'X-B3-TraceId': span, 'X-B3-SpanId': span }), { traceId: '0'.repeat(16) + span, parentId: span, sampled: undefined })
  assert.equal(read({ b3: `${trace}-${span}-1`, traceparent: `00-${trace}-${span}-00` })?.sampled, false)
  assert.equal(read({ b3: '0' }), undefined)
})
