import { z } from 'zod'
import { backend, GATEWAY_API, parentReferences, sectionName } from './gateway-api-reference.ts'
import type { ResourceKind } from './kind.ts'

const tcpRouteSpec = z.strictObject({
  parentRefs: parentReferences,
  useDefaultGateways: z.enum(['All', 'None']).optional().describe('Whether it is attached to default gateways.'),
  rules: z
    .array(z.strictObject({ name: sectionName().optional().describe('A name, unique within the route.'), backendRefs: z.array(backend).min(1).max(16).describe('Where connections go, by weight.') }))
    .length(1)
    .describe('The rule: one.'),
})
export type TcpRouteSpec = z.infer<typeof tcpRouteSpec>

export const tcpRouteKind: ResourceKind<{ spec: TcpRouteSpec }> = {
  group: GATEWAY_API,
  versions: ['v1', 'v1alpha2'],
  kind: 'TCPRoute',
  plural: 'tcproutes',
  singular: 'tcproute',
  shortNames: [],
  categories: ['gateway-api'],
  namespaced: true,
  description: 'Where the connections of a Gateway’s TCP listener go.',
  fields: z.strictObject({ spec: tcpRouteSpec.describe('The routes.') }),
  check: () => [],
  secretFields: [],
  printerColumns: [],
  example: { apiVersion: `${GATEWAY_API}/v1`, kind: 'TCPRoute', metadata: { name: 'ledger-db', namespace: 'default' }, spec: { parentRefs: [{ name: 'edge', sectionName: 'db' }], rules: [{ backendRefs: [{ name: 'ledger-db', port: 5432 }] }] } },
}
