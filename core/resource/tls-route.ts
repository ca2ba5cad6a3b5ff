import { z } from 'zod'
import { backend, GATEWAY_API, hostName, parentReferences, sectionName } from './gateway-api-reference.ts'
import type { ResourceKind } from './kind.ts'

const tlsRouteSpec = z.strictObject({
  parentRefs: parentReferences,
  hostnames: z.array(hostName(true)).min(1).max(16).describe('Server names for which the route counts.'),
  useDefaultGateways: z.enum(['All', 'None']).optional().describe('Whether it is attached to default gateways.'),
  rules: z
    .array(z.strictObject({ name: sectionName().optional().describe('A name, unique within the route.'), backendRefs: z.array(backend).min(1).max(16).describe('Where connections go, by weight.') }))
    .length(1)
    .describe('The rule: one.'),
})
export type TlsRouteSpec = z.infer<typeof tlsRouteSpec>

export const tlsRouteKind: ResourceKind<{ spec: TlsRouteSpec }> = {
  group: GATEWAY_API,
  versions: ['v1', 'v1alpha3', 'v1alpha2'],
  kind: 'TLSRoute',
  plural: 'tlsroutes',
  singular: 'tlsroute',
  shortNames: [],
  categories: ['gateway-api'],
  namespaced: true,
  description: 'Routes of TLS connections by server name.',
  fields: z.strictObject({ spec: tlsRouteSpec.describe('The routes.') }),
  check: () => [],
  secretFields: [],
  printerColumns: [{ name: 'Hostnames', type: 'string', jsonPath: '.spec.hostnames' }],
  example: { apiVersion: `${GATEWAY_API}/v1`, kind: 'TLSRoute', metadata: { name: 'vault', namespace: 'default' }, spec: { parentRefs: [{ name: 'edge' }], hostnames: ['vault.example.com'], rules: [{ backendRefs: [{ name: 'vault', port: 8200 }] }] } },
}
