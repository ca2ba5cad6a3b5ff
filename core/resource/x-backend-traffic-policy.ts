import { z } from 'zod'
import { apiGroup, gatewayDuration, kindName, objectNameText } from './gateway-api-reference.ts'
import { sessionPersistence } from './http-route.ts'
import type { ResourceKind } from './kind.ts'
import { EXPERIMENTAL_GATEWAY_API } from './x-backend.ts'

const xBackendTrafficPolicySpec = z.strictObject({
  targetRefs: z
    .array(z.strictObject({ group: apiGroup().describe('API group of the backend.'), kind: kindName().describe('Kind of the backend.'), name: objectNameText().describe('Name of the backend.') }))
    .min(1)
    .max(16)
    .describe('Backends for which it counts.'),
  retryConstraint: z
    .strictObject({
      budget: z.strictObject({ percent: z.int().min(0).max(100).optional().describe('Retries as a share of active requests; 20 by default.'), interval: gatewayDuration().optional().describe('Time over which requests are counted; those that are under way count in any case.') }).optional().describe('Bound by what is in flight.'),
      minRetryRate: z.strictObject({ count: z.int().min(1).max(1000000).optional().describe('Retries.'), interval: gatewayDuration().optional().describe('In that time.') }).optional().describe('Retries that are always allowed; 10 a second by default.'),
    })
    .optional()
    .describe('Bounds retries.'),
  sessionPersistence: sessionPersistence.optional().describe('Keeps a client at one endpoint.'),
})
export type XBackendTrafficPolicySpec = z.infer<typeof xBackendTrafficPolicySpec>

export const xBackendTrafficPolicy: ResourceKind<{ spec: XBackendTrafficPolicySpec }> = {
  group: EXPERIMENTAL_GATEWAY_API,
  versions: ['v1alpha1'],
  kind: 'XBackendTrafficPolicy',
  plural: 'xbackendtrafficpolicies',
  singular: 'xbackendtrafficpolicy',
  shortNames: ['xbtpolicy'],
  categories: ['gateway-api'],
  namespaced: true,
  description: 'How often requests to backends are retried.',
  fields: z.strictObject({ spec: xBackendTrafficPolicySpec.describe('The policy.') }),
  check: () => [],
  secretFields: [],
  printerColumns: [],
  example: { apiVersion: `${EXPERIMENTAL_GATEWAY_API}/v1alpha1`, kind: 'XBackendTrafficPolicy', metadata: { name: 'orders', namespace: 'default' }, spec: { targetRefs: [{ group: '', kind: 'Service', name: 'orders' }], retryConstraint: { budget: { percent: 20, interval: '10s' } } } },
}
