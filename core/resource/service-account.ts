import { z } from 'zod'
import { text } from './field.ts'
import type { ResourceKind } from './kind.ts'

const named = z.strictObject({ name: text().optional().describe('Its name.') })

const serviceAccountFields = z.strictObject({
  secrets: z
    .array(
      z.strictObject({
        apiVersion: text().optional().describe('Kept for clients.'),
        fieldPath: text().optional().describe('Kept for clients.'),
        kind: text().optional().describe('Kept for clients.'),
        name: text().optional().describe('A Secret.'),
        namespace: text().optional().describe('Kept for clients.'),
        resourceVersion: text().optional().describe('Kept for clients.'),
        uid: text().optional().describe('Kept for clients.'),
      }),
    )
    .optional()
    .describe('Kept for clients.'),
  imagePullSecrets: z.array(named).optional().describe('Kept for clients.'),
  automountServiceAccountToken: z.boolean().optional().describe('Kept for clients.'),
})
export type ServiceAccountFields = z.infer<typeof serviceAccountFields>

export const serviceAccount: ResourceKind<ServiceAccountFields> = {
  group: '',
  versions: ['v1'],
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
  singular: 'serviceaccount',
  shortNames: ['sa'],
  categories: [],
  namespaced: true,
  description: 'An identity for workloads: spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/NAME.',
  fields: serviceAccountFields,
  check: () => [],
  secretFields: [],
  printerColumns: [],
  example: { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'reviews', namespace: 'default' } },
}
