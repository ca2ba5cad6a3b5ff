import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toJson } from '@bufbuild/protobuf'
import { groupOf } from '#api/model/bound-claims.ts'
import type { ProxyConfig } from '#core/wire/gen/istio/mesh/v1alpha1/proxy_pb.ts'
import { ReadinessProbeSchema } from '#core/wire/gen/istio/networking/v1alpha3/workload_group_pb.ts'
import { effectiveProxyConfig } from './proxy-config.ts'
import { meshOf, nodeFrom, objectsIn } from './testing/mesh-case.ts'

const ROOT = `
apiVersion: weft.dev/v1
kind: MeshConfig
metadata: { name: default }
spec: { defaultConfig: { concurrency: 1, proxyMetadata: { A: mesh, B: mesh, C: mesh, D: mesh, E: mesh }, readinessProbe: { tcpSocket: { port: 1 } } } }
`
const WIDE = `---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: { name: wide, namespace: istio-system }
spec: { concurrency: 2, environmentVariables: { B: root, C: root, D: root, E: root } }
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: { name: younger, namespace: istio-system }
spec: { concurrency: 12 }
`
const NAMESPACE = `---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: { name: all, namespace: prod }
spec: { concurrency: 3, environmentVariables: { C: namespace, D: namespace, E: namespace } }
`
const GROUP = `---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: orders, namespace: prod }
spec:
  metadata: { labels: { app: orders }, annotations: { proxy.istio.io/config: '{"concurrency": 4, "proxyMetadata": {"D": "annotation", "E": "annotation"}, "readinessProbe": {"tcpSocket": {"port": 2}}}' } }
  template: { serviceAccount: orders }
`
const SELECTED = `---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: { name: orders, namespace: prod }
spec: { selector: { matchLabels: { app: orders } }, concurrency: 0, environmentVariables: { E: workload } }
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: { name: others, namespace: prod }
spec: { selector: { matchLabels: { app: ledger } }, concurrency: 9 }
`

function configOf(yaml: string, proxy: { namespace?: string; app?: string } = {}): ProxyConfig {
  const { model } = meshOf(objectsIn(yaml), [])
  const node = nodeFrom({ name: 'orders-1', namespace: proxy.namespace ?? 'prod', serviceAccount: 'orders', labels: { app: proxy.app ?? 'orders' } })
  return effectiveProxyConfig(model.read(() => {}), node, groupOf(model, node))
}

test('the nearer overrides the wider: mesh, root namespace, namespace, annotation, workload; variables come together', () => {
  const levels = [ROOT, WIDE, NAMESPACE, GROUP, SELECTED]
  const seen = levels.map((_, at) => {
    const { concurrency, proxyMetadata } = configOf(levels.slice(0, at + 1).join(''))
    return [concurrency, Object.values(proxyMetadata).join(' ')]
  })
  assert.deepEqual(seen, [
    [1, 'mesh mesh mesh mesh mesh'],
    [2, 'mesh root root root root'],
    [3, 'mesh root namespace namespace namespace'],
    [4, 'mesh root namespace annotation annotation'],
    [0, 'mesh root namespace annotation workload'],
  ])
})

test('other workloads and other namespaces get what is theirs', () => {
  const all = [ROOT, WIDE, NAMESPACE, SELECTED].join('')
  assert.equal(configOf(all, { app: 'ledger' }).concurrency, 9)
  assert.equal(configOf(all, { app: 'web' }).concurrency, 3)
  assert.equal(configOf(all, { namespace: 'test' }).concurrency, 2)
})

test('a mesh that says nothing has nobody start otherwise', () => {
  assert.deepEqual([configOf('').concurrency, configOf('').proxyMetadata, configOf('').readinessProbe], [undefined, {}, undefined])
})

test('an annotation that is no ProxyConfig is passed over', () => {
  assert.equal(configOf(`${WIDE}${GROUP.replace('"concurrency": 4', '"concurrency": "many"')}`).concurrency, 2)
})

test('a group’s probe counts before its annotation’s, and that before the mesh’s', () => {
  assert.equal(configOf(ROOT).readinessProbe?.tcpSocket?.port, 1)
  assert.equal(configOf(ROOT + GROUP).readinessProbe?.tcpSocket?.port, 2)
})

test('a probe arrives with each of its fields, from a group and from the mesh', () => {
  const times = { initialDelaySeconds: 1, timeoutSeconds: 2, periodSeconds: 3, successThreshold: 4, failureThreshold: 5 }
  const ways = [
    { httpGet: { path: '/ready', port: 8080, host: 'a', scheme: 'HTTPS', httpHeaders: [{ name: 'x-a', value: 'b' }] } },
    { tcpSocket: { host: 'a', port: 8080 } },
    { exec: { command: ['cat', '/ready'] } },
    { grpc: { port: 8080, service: 'orders' } },
  ]
  for (const way of ways) {
    const probe = { ...times, ...way }
    const mesh = { apiVersion: 'weft.dev/v1', kind: 'MeshConfig', metadata: { name: 'default' }, spec: { defaultConfig: { readinessProbe: probe } } }
    const group = { apiVersion: 'networking.istio.io/v1', kind: 'WorkloadGroup', metadata: { name: 'orders', namespace: 'prod' }, spec: { template: { serviceAccount: 'orders' }, probe } }
    for (const object of [mesh, group]) {
      const { readinessProbe } = configOf(JSON.stringify(object))
      assert.deepEqual(readinessProbe && toJson(ReadinessProbeSchema, readinessProbe), probe, object.kind)
    }
  }
})
