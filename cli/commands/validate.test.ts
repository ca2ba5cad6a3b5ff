import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judge } from './validate.ts'

const filter = (value: string): string => `apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: patched, namespace: shop }
spec:
  configPatches:
    - applyTo: CLUSTER
      patch: { operation: MERGE, value: ${value} }
`

test('a patch whose value is no message of Envoy’s is named by its place, without a server', () => {
  const [verdict] = judge('filter.yaml', filter('{ connect_timeout: soon }'))
  assert.equal(verdict?.verdict, 'warn')
  const [found] = (verdict?.findings ?? []).filter(({ code }) => code === 'envoy-filter.not-applied')
  assert.equal(found?.path, 'spec.configPatches[0].patch.value')
  assert.deepEqual(found?.source, { file: 'filter.yaml', line: 7 })
  const [taken] = judge('filter.yaml', filter('{ connect_timeout: 3s }'))
  assert.deepEqual((taken?.findings ?? []).filter(({ code }) => code === 'envoy-filter.not-applied'), [])
})
