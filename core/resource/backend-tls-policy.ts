import { z } from 'zod'
import { judged, textMap } from './field.ts'
import type { Complaint } from './field.ts'
import { apiGroup, GATEWAY_API, hostName, kindName, objectNameText, sectionName } from './gateway-api-reference.ts'
import type { ResourceKind } from './kind.ts'

const subjectAltName = z
  .strictObject({ type: z.enum(['Hostname', 'URI']).describe('The form of the name.'), hostname: hostName(true).optional().describe('A DNS name.'), uri: z.string().min(1).max(253).optional().describe('A URI, such as a SPIFFE id.') })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      const [own, other] = value.type === 'Hostname' ? (['hostname', 'uri'] as const) : (['uri', 'hostname'] as const)
      if (value[own] === undefined) yield { at: [own], code: 'object.field-required', rule: `needed for type ${value.type}` }
      if (value[other] !== undefined) yield { at: [other], code: 'object.field-conflict', rule: `not for type ${value.type}` }
    }),
  )

export const backendValidation = z
  .strictObject({
    caCertificateRefs: z.array(z.strictObject({ group: apiGroup().describe('API group; core.'), kind: kindName().describe('Kind: ConfigMap or Secret, with ca.crt.'), name: objectNameText().describe('Name.') })).max(8).optional().describe('Authorities that are believed.'),
    wellKnownCACertificates: z.enum(['System']).optional().describe('System: the authorities of the proxy’s host.'),
    hostname: hostName(false).describe('Server name that is asked for, and that the certificate must bear.'),
    subjectAltNames: z.array(subjectAltName).max(5).optional().describe('Names, one of which the certificate must bear instead.'),
  })
  .superRefine(judged(function* (value): Iterable<Complaint> {
    const references = (value.caCertificateRefs?.length ?? 0) > 0
    if (references && value.wellKnownCACertificates !== undefined) yield { at: ['wellKnownCACertificates'], code: 'object.field-conflict', rule: 'only one of caCertificateRefs, wellKnownCACertificates may be set' }
    if (!references && value.wellKnownCACertificates === undefined) yield { at: ['caCertificateRefs'], code: 'object.field-required', rule: 'caCertificateRefs or wellKnownCACertificates' }
  }))
export type BackendValidation = z.infer<typeof backendValidation>

const backendTlsPolicySpec = z.strictObject({
  targetRefs: z
    .array(z.strictObject({ group: apiGroup().describe('API group of the backend.'), kind: kindName().describe('Kind of the backend.'), name: objectNameText().describe('Name of the backend.'), sectionName: sectionName().optional().describe('Name of its port; all by default.') }))
    .min(1)
    .max(16)
    .superRefine(judged(function* (list): Iterable<Complaint> {
      const seen = new Map<string, Set<string>>()
      for (const [index, one] of list.entries()) {
        const target = JSON.stringify([one.group, one.kind, one.name])
        const sections = seen.get(target) ?? new Set<string>()
        const section = one.sectionName ?? ''
        if (sections.has(section)) yield { at: [index], code: 'object.field-conflict', rule: 'each target once, or with different sectionNames' }
        else if (sections.size > 0 && (section === '' || sections.has(''))) yield { at: [index, 'sectionName'], code: 'object.field-conflict', rule: 'needed in every reference to a target that is named twice' }
        sections.add(section)
        seen.set(target, sections)
      }
    }))
    .describe('Backends for which it counts.'),
  validation: backendValidation.describe('How the backend’s certificate is verified.'),
  options: textMap().optional().describe('Further settings.'),
})
export type BackendTlsPolicySpec = z.infer<typeof backendTlsPolicySpec>

export const backendTlsPolicy: ResourceKind<{ spec: BackendTlsPolicySpec }> = {
  group: GATEWAY_API,
  versions: ['v1', 'v1alpha3'],
  kind: 'BackendTLSPolicy',
  plural: 'backendtlspolicies',
  singular: 'backendtlspolicy',
  shortNames: ['btlspolicy'],
  categories: ['gateway-api'],
  namespaced: true,
  description: 'How gateways secure connections to backends.',
  fields: z.strictObject({ spec: backendTlsPolicySpec.describe('The policy.') }),
  check: () => [],
  secretFields: [],
  printerColumns: [],
  example: { apiVersion: `${GATEWAY_API}/v1`, kind: 'BackendTLSPolicy', metadata: { name: 'vault', namespace: 'default' }, spec: { targetRefs: [{ group: '', kind: 'Service', name: 'vault' }], validation: { wellKnownCACertificates: 'System', hostname: 'vault.example.com' } } },
}
