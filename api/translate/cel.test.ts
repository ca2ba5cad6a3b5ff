import assert from 'node:assert/strict'
import { test } from 'node:test'
import { celComplaint } from './cel.ts'

test('expressions over requests and connections are taken', () => {
  for (const one of [
    'response.code >= 400',
    "has(request.referer) && !(request.path.startsWith('/healthz'))",
    'connection.mtls == false || request.method in ["GET", "HEAD"]',
    "response.duration > duration('1s') ? true : size(request.id) > 0u",
    'xds.cluster_name.contains("outbound|") && -1 < 2 * 3 % 4',
    "metadata.filter_metadata['a']['b'] != r'\\d'",
  ]) assert.equal(celComplaint(one), undefined, one)
})

test('what is no expression, and functions that Envoy does not have, are not', () => {
  for (const one of ['', 'response.code >=', 'a &&& b', '(a', "a == 'b", 'a b', 'request.headers[', 'a ? b', '@', "has(request.headers['x'])", 'has(a)', `${'('.repeat(40)}a${')'.repeat(40)}`]) assert.notEqual(celComplaint(one), undefined, one)
  assert.match(celComplaint('[1].exists(x, x > 0)') ?? '', /exists/)
})
