import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseObject } from '#core/resource/parse.ts'
import { meshOf } from '../testing/mesh-case.ts'
import { wasmConfig } from './wasm.ts'

test('what a module finds in its environment has the names that are said', () => {
  const reader = meshOf([], []).model.read(() => {})
  const config = wasmConfig(reader, 'prod', 'any', { url: 'file:///any.wasm', vmConfig: { env: [{ name: 'GIVEN', value: 'here' }, { name: 'OF_THE_HOST', valueFrom: 'HOST' }] } })
  const { config: sent } = config as { readonly config: { readonly vm_config: { readonly environment_variables: unknown } } }
  assert.deepEqual(sent.vm_config.environment_variables, { key_values: { GIVEN: 'here' }, host_env_keys: ['OF_THE_HOST'] })
})

for (const [kind, env] of [['WasmPlugin', (one: object) => ({ url: 'file:///any.wasm', vmConfig: { env: [one] } })], ['TrafficExtension', (one: object) => ({ wasm: { url: 'file:///any.wasm', vmConfig: { env: [one] } } })]] as const) {
  test(`a variable without a name is refused in a ${kind}`, () => {
    const faultsOf = (one: object): string[] => parseObject({ apiVersion: 'extensions.istio.io/v1alpha1', kind, metadata: { name: 'any', namespace: 'prod' }, spec: env(one) }, { defaultNamespace: 'prod' }).faults.map((fault) => fault.path ?? '')
    assert.deepEqual(faultsOf({ name: 'GIVEN', value: 'here' }), [])
    assert.ok(faultsOf({ value: 'here' }).some((path) => path.endsWith('env[0].name')))
  })
}
