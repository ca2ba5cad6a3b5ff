import { z } from 'zod'
import { apiGroup, GATEWAY_API, kindName, namespaceName, objectNameText } from './gateway-api-reference.ts'
import type { ResourceKind } from './kind.ts'

const referenceGrantSpec = z.strictObject({
  from: z
    .array(z.strictObject({ group: apiGroup().describe('API group of what refers.'), kind: kindName().describe('Kind of what refers.'), namespace: namespaceName().describe('Its namespace.') }))
    .min(1)
    .max(16)
    .describe('Who may refer.'),
  to: z
    .array(z.strictObject({ group: apiGroup().describe('API group of what is referred to.'), kind: kindName().describe('Its kind.'), name: objectNameText().optional().describe('Its name; all by default.') }))
    .min(1)
    .max(16)
    .describe('To what, in this namespace.'),
})
export type ReferenceGrantSpec = z.infer<typeof referenceGrantSpec>

export const referenceGrant: ResourceKind<{ spec?: ReferenceGrantSpec | undefined }> = {
  group: GATEWAY_API,
  versions: ['v1', 'v1beta1'],
  kind: 'ReferenceGrant',
  plural: 'referencegrants',
  singular: 'referencegrant',
  shortNames: ['refgrant'],
  categories: ['gateway-api'],
  namespaced: true,
  description: 'Lets objects of other namespaces refer to objects of this one.',
  fields: z.strictObject({ spec: referenceGrantSpec.optional().describe('Who may refer to what.') }),
  check: () => [],
  secretFields: [],
  printerColumns: [],
  example: { apiVersion: `${GATEWAY_API}/v1beta1`, kind: 'ReferenceGrant', metadata: { name: 'from-edge', namespace: 'prod' }, spec: { from: [{ group: GATEWAY_API, kind: 'HTTPRoute', namespace: 'edge' }], to: [{ group: '', kind: 'Service' }] } },
}
