import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileExpression, Duration, Instant, Names, type Value } from './expression.ts'
import { expressionComplaint, parseExpression } from './expression-syntax.ts'

test('expressions over requests and connections are taken', () => {
  for (const one of [
    'response.code >= 400',
    "has(request.referer) && !(request.path.startsWith('/healthz'))",
    'connection.mtls == false || request.method in ["GET", "HEAD"]',
    "response.duration > duration('1s') ? true : size(request.id) > 0u",
    'xds.cluster_name.contains("outbound|") && -1 < 2 * 3 % 4',
    "metadata.filter_metadata['a']['b'] != r'\\d'",
  ]) assert.equal(expressionComplaint(one), undefined, one)
})

test('what is no expression, and functions that Envoy does not have, are not', () => {
  for (const one of ['', 'response.code >=', 'a &&& b', '(a', "a == 'b", 'a b', 'request.headers[', 'a ? b', '@', "has(request.headers['x'])", 'has(a)', `${'('.repeat(40)}a${')'.repeat(40)}`]) assert.notEqual(expressionComplaint(one), undefined, one)
  assert.match(expressionComplaint('[1].exists(x, x > 0)') ?? '', /exists/)
})

const FACTS: Readonly<Record<string, Value | undefined>> = {
  'response.code': 503n,
  'request.path': '/orders/7',
  'request.headers': new Names((name) => ({ 'x-user': 'a', 'x.y': 'dotted' })[name]),
  'request.duration': new Duration(1500),
  'request.time': new Instant(Date.UTC(2024, 1, 29, 23, 5)),
  'response.size': 0n,
  // There is such an attribute, and this request has none.
  'request.referer': undefined,
}

const valueOf = (text: string): unknown => {
  const read = parseExpression(text)
  assert.ok(typeof read !== 'string', `${text}: ${String(read)}`)
  return compileExpression<undefined>(read, (path) => (path in FACTS ? () => FACTS[path] : undefined))(undefined)
}

test('an expression is worked out as CEL says', () => {
  for (const [text, value] of Object.entries({
    'response.code >= 400 && response.code < 600': true,
    "request.headers['x-user'] == 'a'": true,
    "request['path'].startsWith('/orders')": true,
    "request.headers['x.y'] + '!' == \"dotted!\"": true,
    "'x-user' in request.headers && !('x-none' in request.headers)": true,
    'has(request.referer)': false,
    "has(request.headers)": true,
    "request.path.matches('^/orders/[0-9]+$') && request.path.matches('ders')": true,
    "request.duration > duration('1s') && request.duration < duration('1m500ms')": true,
    'request.time.getFullYear() == 2024 && request.time.getMonth() == 1 && request.time.getDate() == 29': true,
    "request.time > timestamp('2020-01-01T00:00:00Z')": true,
    'response.code / 100 == 5 && response.code % 100 == 3': true,
    '5 / 2 == 2 && 5.0 / 2.0 == 2.5': true,
    '-response.code < 0': true,
    "response.code in [500, 503] ? size(request.path) : 0": 9n,
    "int('7') + 1 == 8 && string(7) == '7' && double(1) < 1.5": true,
    "r'\\d' == '\\\\d' && '\\u0041\\x42' == 'AB'": true,
    'null == null && 1 != null': true,
  })) assert.equal(valueOf(text), value, text)
})

test('what is not there is an error, which does not pass what decides without it', () => {
  for (const text of ["request.referer == 'a'", "request.headers['x-none'] == 'a'", "response.code == '503'", "request.path > 1", '1 / response.size', '!response.code', "request.referer == 'a' || false", "request.referer == 'a' && true", '[1][3]']) assert.equal(valueOf(text), undefined, text)
  assert.equal(valueOf("request.referer == 'a' || response.code == 503"), true)
  assert.equal(valueOf("request.referer == 'a' && response.code == 200"), false)
  assert.equal(valueOf("response.code == 503 ? 'down' : request.referer"), 'down')
})

test('attributes that are not to be had are named at once', () => {
  for (const [text, says] of [['xds.node.id == 1', /xds\.node\.id|xds\.node/], ["filter_state['a'] == 'b'", /filter_state/], ["request.path.matches(request.path)", /pattern/], ["request.path.matches('(')", /pattern/], ["b'ab' == b'ab'", /bytes/], ['getHours()', /getHours/]] as const) assert.throws(() => valueOf(text), says, text)
})
