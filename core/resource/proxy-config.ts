import { z } from 'zod'
import { int32, textMap } from './field.ts'
import type { Fault } from '../fault/fault.ts'
import type { ResourceKind } from './kind.ts'
import type { ResourceObject } from './object.ts'
import { emptySelectorWarnings, workloadSelector } from './selector.ts'

export const proxyImage = z.strictObject({ imageType: z.string().optional().describe('The variant of the proxy’s image: default, debug or distroless.') })

const proxyConfigSpec = z.strictObject({
  selector: workloadSelector.optional().describe('The workloads; all of the namespace by default, all of the mesh in the root namespace.'),
  concurrency: int32().min(0).optional().describe('Worker threads, 0 for as many as there are cores; by default one of the bundled proxy, and as many of Envoy as there are cores. WEFT_CONCURRENCY of the process counts before it.'),
  environmentVariables: textMap().optional().describe('Variables of the proxy’s environment, beside those of its process, which count before them; ISTIO_META_… become words of its node. Those that begin with WEFT_ are not taken.'),
  image: proxyImage.optional().describe('The image that is injected; Weft injects none.'),
})
export type ProxyConfigSpec = z.infer<typeof proxyConfigSpec>
type ProxyConfigResource = ResourceObject & { readonly spec: ProxyConfigSpec }

const check = (object: ProxyConfigResource): Fault[] => emptySelectorWarnings(object.spec.selector, 'spec.selector')

export const proxyConfig: ResourceKind<{ spec: ProxyConfigSpec }> = {
  group: 'networking.istio.io',
  versions: ['v1beta1'],
  kind: 'ProxyConfig',
  plural: 'proxyconfigs',
  singular: 'proxyconfig',
  shortNames: [],
  categories: ['istio-io', 'networking-istio-io'],
  namespaced: true,
  description: 'Settings of the proxy process of workloads, which count from its next start.',
  fields: z.strictObject({ spec: proxyConfigSpec.describe('The settings.') }),
  check,
  secretFields: [],
  printerColumns: [],
  example: { apiVersion: 'networking.istio.io/v1beta1', kind: 'ProxyConfig', metadata: { name: 'ledger', namespace: 'default' }, spec: { selector: { matchLabels: { app: 'ledger' } }, concurrency: 0, image: { imageType: 'distroless' } } },
}
