import { z } from 'zod'
import { int32, judged } from './field.ts'
import type { ResourceKind } from './kind.ts'
import type { ResourceObject } from './object.ts'
import { emptySelectorWarnings, whereComplaints, whereFields } from './selector.ts'
import { extensionPhase, trafficSelectors, wasmFields } from './wasm.ts'

const wasmPluginSpec = z
  .strictObject({
    ...whereFields,
    ...wasmFields,
    phase: extensionPhase('UNSPECIFIED_PHASE'),
    priority: int32().optional().describe('Within a phase, higher stands first; 0 by default.'),
    match: trafficSelectors,
  })
  .superRefine(judged(whereComplaints))
export type WasmPluginSpec = z.infer<typeof wasmPluginSpec>
type WasmPlugin = ResourceObject & { readonly spec: WasmPluginSpec }

export const wasmPlugin: ResourceKind<{ spec: WasmPluginSpec }> = {
  group: 'extensions.istio.io',
  versions: ['v1alpha1'],
  kind: 'WasmPlugin',
  plural: 'wasmplugins',
  singular: 'wasmplugin',
  shortNames: [],
  categories: ['istio-io', 'extensions-istio-io'],
  namespaced: true,
  description: 'A WebAssembly module that proxies run as a filter.',
  fields: z.strictObject({ spec: wasmPluginSpec.describe('The module and where it runs.') }),
  check: (object: WasmPlugin) => emptySelectorWarnings(object.spec.selector, 'spec.selector'),
  secretFields: [],
  printerColumns: [],
  example: {
    apiVersion: 'extensions.istio.io/v1alpha1',
    kind: 'WasmPlugin',
    metadata: { name: 'sign-in', namespace: 'default' },
    spec: { selector: { matchLabels: { istio: 'ingressgateway' } }, url: 'oci://registry.example.com/sign-in:1', phase: 'AUTHN' },
  },
}
