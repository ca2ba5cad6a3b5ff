import { z } from 'zod'
import { judged } from './field.ts'
import type { Complaint } from './field.ts'
import type { Fault } from '../fault/fault.ts'
import type { ResourceKind } from './kind.ts'
import type { ResourceObject } from './object.ts'
import { emptySelectorWarnings, workloadSelector } from './selector.ts'

const mutualTls = z.strictObject({ mode: z.enum(['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT']).optional().describe('UNSET inherits; PERMISSIVE takes plaintext too; STRICT takes mutual TLS alone.') })
export type MutualTls = z.infer<typeof mutualTls>

const peerAuthenticationSpec = z
  .strictObject({
    selector: workloadSelector.optional().describe('The workloads; all of the namespace (in the root namespace: of the mesh) by default.'),
    mtls: mutualTls.optional().describe('What is asked of peers.'),
    portLevelMtls: z.record(z.string(), mutualTls).optional().describe('The same for single ports of the workload, by number.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.portLevelMtls === undefined) return
      const ports = Object.keys(value.portLevelMtls)
      if (ports.length === 0) yield { at: ['portLevelMtls'], code: 'object.field-required', rule: 'at least one port' }
      if (Object.keys(value.selector?.matchLabels ?? {}).length === 0) yield { at: ['portLevelMtls'], code: 'object.field-conflict', rule: 'only together with a selector' }
      for (const port of ports) if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65535) yield { at: ['portLevelMtls', port], rule: 'a port, 1..65535' }
    }),
  )
export type PeerAuthenticationSpec = z.infer<typeof peerAuthenticationSpec>
type PeerAuthentication = ResourceObject & { readonly spec?: PeerAuthenticationSpec | undefined }

const check = (object: PeerAuthentication): Fault[] => emptySelectorWarnings(object.spec?.selector, 'spec.selector')

export const peerAuthentication: ResourceKind<{ spec?: PeerAuthenticationSpec | undefined }> = {
  group: 'security.istio.io',
  versions: ['v1', 'v1beta1'],
  kind: 'PeerAuthentication',
  plural: 'peerauthentications',
  singular: 'peerauthentication',
  shortNames: ['pa'],
  categories: ['istio-io', 'security-istio-io'],
  namespaced: true,
  description: 'Whether workloads ask their peers for mutual TLS.',
  fields: z.strictObject({ spec: peerAuthenticationSpec.optional().describe('What is asked of peers.') }),
  check,
  secretFields: [],
  printerColumns: [{ name: 'Mode', type: 'string', jsonPath: '.spec.mtls.mode' }],
  example: { apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name: 'default', namespace: 'default' }, spec: { mtls: { mode: 'STRICT' } } },
}
