import { z } from 'zod'
import type { ResourceKind } from './kind.ts'

export const namespaceSpec = z.strictObject({ finalizers: z.array(z.string()).optional().describe('Kept for clients; nothing acts on them.') })

export const namespace: ResourceKind<{ spec?: z.infer<typeof namespaceSpec> | undefined }> = {
  group: '',
  versions: ['v1'],
  kind: 'Namespace',
  plural: 'namespaces',
  singular: 'namespace',
  shortNames: ['ns'],
  categories: [],
  namespaced: false,
  description: 'A space of names within the mesh; policies apply by namespace.',
  fields: z.strictObject({ spec: namespaceSpec.optional().describe('Nothing of use to a mesh.') }),
  check: () => [],
  secretFields: [],
  printerColumns: [{ name: 'Status', type: 'string', jsonPath: '.status.phase' }],
  example: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod', labels: { 'istio-injection': 'enabled' } } },
}
