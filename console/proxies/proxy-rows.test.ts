import assert from 'node:assert/strict'
import { test } from 'node:test'
import { totals } from '../shell/totals.ts'
import { shopProxies, shopTopology } from '../testing/shop.ts'
import { chooseProxies, refusals, refusedOrigins, shortType, standing, typeColumns } from './proxy-rows.ts'

test('types bear the names that people use', () => {
  assert.equal(shortType('type.googleapis.com/envoy.config.route.v3.RouteConfiguration'), 'RDS')
  assert.equal(shortType('type.googleapis.com/envoy.service.runtime.v3.Runtime'), 'RTDS')
  assert.equal(shortType('type.googleapis.com/istio.networking.nds.v1.NameTable'), 'NameTable')
  assert.deepEqual(typeColumns(shopProxies(0, false)), ['CDS', 'EDS', 'LDS', 'RDS', 'SDS'])
})

test('one refused type makes a proxy a refusing one, and refusing ones come first', () => {
  const proxies = shopProxies(50_000, true)
  assert.deepEqual(chooseProxies(proxies, { text: '', standing: '' }).slice(0, 3).map((proxy) => [proxy.node.name, standing(proxy)]), [['payment-v1', 'rejected'], ['order-v2', 'stale'], ['gateway', 'synced']])
  assert.deepEqual(chooseProxies(proxies, { text: 'ENVOY prod', standing: 'synced' }).map((proxy) => proxy.node.name), ['catalogue-v1'])
  assert.equal(refusals(proxies).length, 1)
  assert.deepEqual(refusedOrigins(proxies), ['VirtualService/prod/payment-service'])
  assert.deepEqual(refusals(shopProxies(0, false)), [])
})

test('the mesh in numbers weighs shares by requests and leaves out what was not reported', () => {
  const { edges } = shopTopology(0)
  const [gateway] = edges
  assert.ok(gateway !== undefined)
  const sum = totals({ ...shopTopology(0), edges: edges.slice(0, 1).concat({ ...gateway, requestsPerSecond: 12, errorShare: 0.5, mutualTlsShare: 0 }, { ...gateway, mutualTlsShare: null }) }, shopProxies(0, true))
  assert.deepEqual([sum.services, sum.requestsPerSecond, sum.mutualTlsShare, sum.proxies], [7, 108, 0.8, { synced: 6, stale: 1, rejected: 1 }])
  assert.ok(Math.abs(sum.errorShare - 6 / 108) < 1e-9)
})
