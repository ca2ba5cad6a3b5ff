import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, fromBinary } from '@bufbuild/protobuf'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { RouteSchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { HTTPFaultSchema } from '#core/wire/gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts'
import { HttpFilterSchema } from '#core/wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { EXTENSION_CONFIG } from '#core/wire/type-url.ts'
import { admissionFindings } from '../check.ts'
import { anyOf } from '../message.ts'
import { deleteChange, meshOf, nodeFrom, objectsIn, storedFrom } from '../testing/mesh-case.ts'
import { patchList } from './list.ts'
import { mergeMessage } from './merge.ts'

const CLUSTERS = 'type.googleapis.com/envoy.config.cluster.v3.Cluster'

test('a merge goes into fields, adds to lists, and lets one of several exclusive fields win', () => {
  const cluster = create(ClusterSchema, { name: 'a', circuitBreakers: { thresholds: [{ maxConnections: 1 }] } })
  const merged = mergeMessage(ClusterSchema, cluster, { connect_timeout: '2s', circuit_breakers: { thresholds: [{ priority: 'HIGH' }] } })
  assert.equal(merged.connectTimeout?.seconds, 2n)
  assert.deepEqual(merged.circuitBreakers?.thresholds.map((one) => [one.priority, one.maxConnections]), [[0, 1], [1, undefined]])
  assert.deepEqual(mergeMessage(ClusterSchema, cluster, { circuitBreakers: { thresholds: [] } }, 'replace').circuitBreakers?.thresholds.length, 1, 'an empty list says nothing')
  const route = create(RouteSchema, { name: 'r', action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: 'a' } } } })
  assert.equal(mergeMessage(RouteSchema, route, { direct_response: { status: 418 } }).action.case, 'directResponse')
})

test('an Any of the same type is merged within, of another it is replaced', () => {
  const filter = create(HttpFilterSchema, { name: 'f', configType: { case: 'typedConfig', value: anyOf(HTTPFaultSchema, { upstreamCluster: 'a' }) } })
  const same = mergeMessage(HttpFilterSchema, filter, { typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault', max_active_faults: 3 } })
  assert.ok(same.configType.case === 'typedConfig')
  const fault = fromBinary(HTTPFaultSchema, same.configType.value.value)
  assert.deepEqual([fault.upstreamCluster, fault.maxActiveFaults], ['a', 3])
  const other = mergeMessage(HttpFilterSchema, filter, { typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors' } })
  assert.ok(other.configType.case === 'typedConfig')
  assert.match(other.configType.value.typeUrl, /Cors$/)
  assert.throws(() => mergeMessage(HttpFilterSchema, filter, { typed_config: { '@type': 'type.googleapis.com/no.such.Type' } }), /no\.such\.Type/)
})

test('every operation does to a list what its name says', () => {
  const done = (operation: string, name = 'b') => patchList(['a', 'b', 'c'], operation, { matches: (one) => one === name, isBound: name !== '', merge: (one) => `${one}+`, make: () => 'n' }).join('')
  assert.equal(done('MERGE'), 'ab+c')
  assert.equal(done('REPLACE'), 'anc')
  assert.equal(done('REMOVE'), 'ac')
  assert.equal(done('ADD'), 'abcn')
  assert.equal(done('INSERT_FIRST'), 'nabc')
  assert.equal(done('INSERT_BEFORE'), 'anbc')
  assert.equal(done('INSERT_AFTER'), 'abnc')
  assert.equal(done('INSERT_BEFORE', 'z'), 'abc')
  assert.throws(() => done('TWIST'))
})

const filter = (value: string) => `
apiVersion: v1
kind: Service
metadata: { name: a, namespace: prod }
spec: { selector: { app: a }, ports: [ { name: http, port: 80 } ] }
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: f, namespace: prod }
spec: { configPatches: [ ${value} ] }
`

test('a patch that no proxy could apply is named when it is written', () => {
  const findings = (value: string) => {
    const objects = objectsIn(filter(value))
    const { model } = meshOf(objects, [])
    return admissionFindings(model, objects.map((one) => storedFrom(one, 1).key)).map((one) => [one.severity, one.code, one.path])
  }
  assert.deepEqual(findings('{ applyTo: CLUSTER, patch: { operation: MERGE, value: { connect_timeout: 1s } } }'), [])
  assert.deepEqual(findings('{ applyTo: CLUSTER, patch: { operation: MERGE, value: { connect_timeout: soon } } }'), [['warning', 'envoy-filter.not-applied', 'spec.configPatches[0].patch.value']])
})

test('a patch comes to views that are open, and goes with its object', () => {
  const objects = objectsIn(filter('{ applyTo: CLUSTER, patch: { operation: MERGE, value: { connect_timeout: 3s } } }'))
  const { views } = meshOf(objects, [])
  const view = views.viewFor(nodeFrom({ name: 'a', namespace: 'prod', outbound: '127.0.0.1:15001' }), undefined)
  const timeout = (): bigint | undefined => {
    const bytes = view.get(CLUSTERS, 'outbound|80||a.prod.svc.cluster.local')?.bytes
    return bytes && fromBinary(ClusterSchema, bytes).connectTimeout?.seconds
  }
  assert.equal(timeout(), 3n)
  const [, last] = objects
  assert.ok(last)
  views.apply([deleteChange(storedFrom(last, 2), 3)], 3)
  assert.equal(timeout(), 10n)
})

test('Weft’s own proxies are spared a patch that they could not carry out', () => {
  const objects = objectsIn(filter('{ applyTo: CLUSTER, patch: { operation: MERGE, value: { max_requests_per_connection: 3, original_dst_lb_config: { use_http_header: true } } } }'))
  const { views } = meshOf(objects, [])
  const view = views.viewFor({ ...nodeFrom({ name: 'a', namespace: 'prod', outbound: '127.0.0.1:15001' }), engine: 'weft' }, undefined)
  assert.ok(view.get(CLUSTERS, 'outbound|80||a.prod.svc.cluster.local'))
  // Once for the service's cluster and once for the one that leads tunnels back.
  assert.deepEqual(new Set(views.faults().flatMap((one) => one.faults.map((fault) => fault.code))), new Set(['envoy-filter.not-applied']))
})

test('plugins are for stock Envoys, which get them by discovery', () => {
  const objects = objectsIn(`
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: { name: p, namespace: prod }
spec: { url: "file:///opt/p.wasm" }
`)
  const { views } = meshOf(objects, [])
  const of = (engine: string) => [...views.viewFor({ ...nodeFrom({ name: 'a', namespace: 'prod', outbound: '127.0.0.1:15001' }), engine }, undefined).list(EXTENSION_CONFIG)].map((one) => one.name)
  assert.deepEqual(of('envoy'), ['extensions.istio.io/wasmplugin/prod.p'])
  assert.deepEqual(of('weft'), [])
})
