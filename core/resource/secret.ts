import { z } from 'zod'
import { judged, text, textMap } from './field.ts'
import type { Complaint } from './field.ts'
import type { ResourceKind } from './kind.ts'

const secretFields = z
  .strictObject({
    type: text().optional().describe('kubernetes.io/tls for a certificate with key; Opaque by default.'),
    data: textMap().optional().describe('Values in base64. Never shown again.'),
    stringData: textMap().optional().describe('Values as text; they are merged into data.'),
    immutable: z.boolean().optional().describe('Refuses changes of data.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      for (const [name, one] of Object.entries(value.data ?? {})) {
        if (!isBase64(one)) yield { at: ['data', name], code: 'object.field-type', rule: 'base64', hint: 'stringData takes text as it is' }
      }
      for (const field of ['data', 'stringData'] as const) {
        for (const name of Object.keys(value[field] ?? {})) if (!/^[-._a-zA-Z0-9]{1,253}$/.test(name)) yield { at: [field, name], rule: 'a name of letters, digits, -, _ and .' }
      }
      if (value.type !== 'kubernetes.io/tls') return
      for (const name of ['tls.crt', 'tls.key']) {
        if (value.data?.[name] === undefined && value.stringData?.[name] === undefined) yield { at: ['data', name], code: 'object.field-required', rule: 'needed for type kubernetes.io/tls' }
      }
    }),
  )
export type SecretFields = z.infer<typeof secretFields>

const isBase64 = (value: string): boolean => value.replaceAll(/[\r\n]/g, '').length % 4 === 0 && /^[A-Za-z0-9+/\r\n]*={0,2}[\r\n]*$/.test(value)

export const secret: ResourceKind<SecretFields> = {
  group: '',
  versions: ['v1'],
  kind: 'Secret',
  plural: 'secrets',
  singular: 'secret',
  shortNames: [],
  categories: [],
  namespaced: true,
  description: 'Certificates, keys and other values that are stored and never shown.',
  fields: secretFields,
  check: () => [],
  secretFields: ['data', 'stringData'],
  printerColumns: [{ name: 'Type', type: 'string', jsonPath: '.type' }],
  example: { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'session-key', namespace: 'default' }, type: 'Opaque', stringData: { key: 'example' } },
}
