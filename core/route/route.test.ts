import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import type { RouteSource, ScopePlan } from '../plan/http.ts'
import { requestFrom } from './request.ts'
import { findScope, scopeKey } from './scope.ts'
import { withoutPort } from './select.ts'
import { pickCluster, weighted } from './split.ts'

const entry = (cluster: string, weight: number) => ({ cluster, weight, origin: undefined, requestHeaders: undefined, responseHeaders: undefined })

test('equal steps of the draw give every cluster its weight exactly, and weight 0 nothing', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 6 }).filter((weights) => weights.some((one) => one > 0)), (weights) => {
      const clusters = weighted(weights.map((weight, at) => entry(String(at), weight)))
      const counts = weights.map(() => 0)
      for (let step = 0; step < clusters.total; step++) {
        const at = Number(pickCluster(clusters, (step + 0.5) / clusters.total).cluster)
        counts[at] = (counts[at] ?? 0) + 1
      }
      assert.deepEqual(counts, weights)
    }),
  )
})

const source: Extract<RouteSource, { kind: 'scoped' }> = { kind: 'scoped', port: '8080', splitAuthorityAtColon: true, fallback: true }
const scopes = new Map<string, ScopePlan>(['8080|order-service', '8080|*', 'proxy|order-service:8080'].map((key) => [key, { name: key, version: 'v', key, table: key }]))
const to = (authority: string) => requestFrom({ authority })

test('a scope is found by port and host, then in lower case, then by *', () => {
  assert.equal(findScope(scopes, source, to('order-service:8080'))?.key, '8080|order-service')
  assert.equal(findScope(scopes, source, to('Order-Service'))?.key, '8080|order-service')
  assert.equal(findScope(scopes, source, to('other'))?.key, '8080|*')
  assert.equal(findScope(scopes, { ...source, fallback: false }, to('Order-Service')), undefined)
})

test('on the port for explicit proxying the authority is whole', () => {
  const proxy = { ...source, port: 'proxy', splitAuthorityAtColon: false }
  assert.equal(scopeKey(proxy, to('order-service:8080')), 'proxy|order-service:8080')
  assert.equal(findScope(scopes, proxy, to('order-service:8080'))?.key, 'proxy|order-service:8080')
})

test('a port is what follows the last colon, unless it is part of an address', () => {
  assert.deepEqual(['a', 'a:80', '[::1]', '[::1]:80', '::1', 'a:b'].map(withoutPort), ['a', 'a', '[::1]', '[::1]', '::1', 'a:b'])
})
