import { z } from 'zod'
import { textMap } from './field.ts'
import type { ResourceKind } from './kind.ts'

const configMapFields = z.strictObject({
  data: textMap().optional().describe('Values as text.'),
  binaryData: textMap().optional().describe('Values in base64.'),
  immutable: z.boolean().optional().describe('Refuses changes of data.'),
})
export type ConfigMapFields = z.infer<typeof configMapFields>

export const configMap: ResourceKind<ConfigMapFields> = {
  group: '',
  versions: ['v1'],
  kind: 'ConfigMap',
  plural: 'configmaps',
  singular: 'configmap',
  shortNames: ['cm'],
  categories: [],
  namespaced: true,
  description: 'Named values, kept for clients.',
  fields: configMapFields,
  check: () => [],
  secretFields: [],
  printerColumns: [],
  example: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings', namespace: 'default' }, data: { color: 'blue' } },
}
