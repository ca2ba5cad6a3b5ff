import { z } from 'zod'
import { int32, judged } from './field.ts'
import type { Complaint } from './field.ts'
import type { ResourceKind } from './kind.ts'
import type { ResourceObject } from './object.ts'
import { emptySelectorWarnings, targetReference, whereComplaints, workloadSelector } from './selector.ts'
import { extensionPhase, trafficSelectors, wasmFields } from './wasm.ts'

const trafficExtensionSpec = z
  .strictObject({
    selector: workloadSelector.optional().describe('The workloads; all of the namespace by default.'),
    targetRefs: z.array(targetReference).max(16).optional().describe('Services or gateways to which it is attached, instead of a selector.'),
    phase: extensionPhase('UNSPECIFIED'),
    priority: int32().optional().describe('Within a phase, higher stands first; 0 by default.'),
    match: trafficSelectors,
    wasm: z.strictObject(wasmFields).optional().describe('A WebAssembly module.'),
    lua: z.strictObject({ inlineCode: z.string().min(1).max(65536).describe('The script, with envoy_on_request or envoy_on_response.') }).optional().describe('A Lua script.'),
  })
  .superRefine(
    judged(function* (spec): Iterable<Complaint> {
      yield* whereComplaints(spec)
      if ((spec.wasm === undefined) === (spec.lua === undefined)) yield { at: spec.wasm === undefined ? [] : ['lua'], code: spec.wasm === undefined ? 'object.field-required' : 'object.field-conflict', rule: 'exactly one of wasm, lua' }
    }),
  )
export type TrafficExtensionSpec = z.infer<typeof trafficExtensionSpec>
type TrafficExtension = ResourceObject & { readonly spec: TrafficExtensionSpec }

export const trafficExtension: ResourceKind<{ spec: TrafficExtensionSpec }> = {
  group: 'extensions.istio.io',
  versions: ['v1alpha1'],
  kind: 'TrafficExtension',
  plural: 'trafficextensions',
  singular: 'trafficextension',
  shortNames: [],
  categories: ['istio-io', 'extensions-istio-io'],
  namespaced: true,
  description: 'A WebAssembly module or Lua script that proxies run as a filter.',
  fields: z.strictObject({ spec: trafficExtensionSpec.describe('The extension and where it runs.') }),
  check: (object: TrafficExtension) => emptySelectorWarnings(object.spec.selector, 'spec.selector'),
  secretFields: [],
  printerColumns: [],
  example: {
    apiVersion: 'extensions.istio.io/v1alpha1',
    kind: 'TrafficExtension',
    metadata: { name: 'count-headers', namespace: 'default' },
    spec: { selector: { matchLabels: { app: 'reviews' } }, match: [{ mode: 'SERVER' }], phase: 'STATS', lua: { inlineCode: 'function envoy_on_request(handle)\n  handle:logInfo("seen")\nend\n' } },
  },
}
