import { z } from 'zod'
import { judged } from './field.ts'
import { listener, listenerListComplaints } from './gateway-api-gateway.ts'
import { apiGroup, GATEWAY_API, kindName, namespaceName, objectNameText } from './gateway-api-reference.ts'
import type { ResourceKind } from './kind.ts'

const listenerSetSpec = z.strictObject({
  parentRef: z
    .strictObject({
      group: apiGroup().optional().describe('API group; gateway.networking.k8s.io by default.'),
      kind: kindName().optional().describe('Kind; Gateway by default.'),
      namespace: namespaceName().optional().describe('Namespace; the ListenerSet’s by default.'),
      name: objectNameText().describe('Name.'),
    })
    .describe('The Gateway to which the listeners are added, if its allowedListeners admit them.'),
  listeners: z.array(listener).min(1).max(64).superRefine(judged(listenerListComplaints)).describe('What the gateway listens on, beside its own listeners.'),
})
export type ListenerSetSpec = z.infer<typeof listenerSetSpec>

export const listenerSet: ResourceKind<{ spec: ListenerSetSpec }> = {
  group: GATEWAY_API,
  versions: ['v1'],
  kind: 'ListenerSet',
  plural: 'listenersets',
  singular: 'listenerset',
  shortNames: ['lset'],
  categories: ['gateway-api'],
  namespaced: true,
  description: 'Listeners that are added to a Gateway of another owner.',
  fields: z.strictObject({ spec: listenerSetSpec.describe('The listeners.') }),
  check: () => [],
  secretFields: [],
  printerColumns: [{ name: 'Parent', type: 'string', jsonPath: '.spec.parentRef.name' }],
  example: {
    apiVersion: `${GATEWAY_API}/v1`,
    kind: 'ListenerSet',
    metadata: { name: 'team-a', namespace: 'team-a' },
    spec: { parentRef: { name: 'edge', namespace: 'edge' }, listeners: [{ name: 'http', port: 80, protocol: 'HTTP', hostname: 'a.example.com' }] },
  },
}
