import { z } from 'zod'
import { judged } from './field.ts'
import type { Complaint } from './field.ts'
import { isDnsSubdomain } from './host-name.ts'
import { isIp } from './address.ts'

/** Pieces that the kinds of gateway.networking.k8s.io share. Rules as in the validation of its CRDs (gateway-api.sigs.k8s.io/reference/spec). */
export const GATEWAY_API = 'gateway.networking.k8s.io'

const GROUP = /^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const KIND = /^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/
const NAMESPACE = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const SECTION = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

export const apiGroup = () => z.string().max(253).regex(GROUP, 'an API group; empty for core')
export const kindName = () => z.string().min(1).max(63).regex(KIND, 'the name of a kind')
export const objectNameText = () => z.string().min(1).max(253)
export const namespaceName = () => z.string().min(1).max(63).regex(NAMESPACE, 'a namespace')
export const sectionName = () => z.string().min(1).max(253).regex(SECTION, 'a DNS name')
export const routePort = () => z.int().min(1).max(65535)

/** Gateway API's Duration (GEP-2257): up to four parts, each of at most five digits. */
export const gatewayDuration = () => z.string().regex(/^([0-9]{1,5}(h|m|s|ms)){1,4}$/, 'a duration such as 10s or 1h30m')

/** A host name that is no IP address; `*.` may stand before it where `wildcard` is set. */
export const hostName = (wildcard: boolean) =>
  z
    .string()
    .min(1)
    .max(253)
    .superRefine(
      judged(function* (value: string): Iterable<Complaint> {
        const bare = wildcard && value.startsWith('*.') ? value.slice(2) : value
        if (isIp(value)) yield { rule: 'a host name, not an address' }
        else if (!isDnsSubdomain(bare)) yield { rule: wildcard ? 'a host name of small letters, digits and dashes; *. may stand before it' : 'a host name of small letters, digits and dashes' }
      }),
    )

export const parentReferences = z
  .array(
    z.strictObject({
      group: apiGroup().optional().describe('API group of the parent; gateway.networking.k8s.io by default.'),
      kind: kindName().optional().describe('Kind of the parent: Gateway (the default), or Service for traffic within the mesh.'),
      namespace: namespaceName().optional().describe('Namespace of the parent; the route’s by default.'),
      name: objectNameText().describe('Name of the parent.'),
      sectionName: sectionName().optional().describe('Listener of the parent; all by default.'),
      port: routePort().optional().describe('Port of the parent; all by default.'),
    }),
  )
  .max(32)
  .superRefine(judged(parentComplaints))
  .optional()
  .describe('Gateways (or Services) to which the route is attached.')

interface Parent {
  group?: string | undefined
  kind?: string | undefined
  namespace?: string | undefined
  name: string
  sectionName?: string | undefined
  port?: number | undefined
}

// References to one parent must name different parts of it, all in one way: by section, by port, or by both.
function* parentComplaints(parents: readonly Parent[]): Iterable<Complaint> {
  const seen = new Map<string, { readonly way: string; readonly parts: Set<string> }>()
  for (const [index, one] of parents.entries()) {
    const parent = JSON.stringify([one.group ?? GATEWAY_API, one.kind ?? 'Gateway', one.namespace ?? '', one.name])
    const way = `${Boolean(one.sectionName)} ${Boolean(one.port)}`
    const part = JSON.stringify([one.sectionName ?? '', one.port ?? 0])
    const before = seen.get(parent) ?? { way, parts: new Set<string>() }
    if (before.parts.has(part)) yield { at: [index], code: 'object.field-conflict', rule: 'each parent once, or with different sectionNames' }
    else if (before.way !== way) yield { at: [index, 'sectionName'], code: 'object.field-conflict', rule: 'in every reference to a parent that is named twice, or in none; so is port' }
    before.parts.add(part)
    seen.set(parent, before)
  }
}

export const backendFields = {
  group: apiGroup().optional().describe('API group of the backend; core by default.'),
  kind: kindName().optional().describe('Kind of the backend; Service by default.'),
  name: objectNameText().describe('Name of the backend.'),
  namespace: namespaceName().optional().describe('Namespace of the backend; the route’s by default. Another needs a ReferenceGrant there.'),
  port: routePort().optional().describe('Port of the backend; needed for a Service.'),
}

export const weight = z.int().min(0).max(1_000_000).optional().describe('Share of requests, relative to the sum of all; 1 by default, 0 for none.')

export function* backendComplaints(value: { group?: string | undefined; kind?: string | undefined; port?: number | undefined }): Iterable<Complaint> {
  if ((value.group ?? '') === '' && (value.kind ?? 'Service') === 'Service' && value.port === undefined) yield { at: ['port'], code: 'object.field-required', rule: 'the port of the Service' }
}

export const backend = z.strictObject({ ...backendFields, weight }).superRefine(judged(backendComplaints))

/** Where one request in so many is mirrored. */
export const mirrorTarget = z.strictObject(backendFields).superRefine(judged(backendComplaints))

export const fraction = z
  .strictObject({ numerator: z.int().min(0).describe('Of so many.'), denominator: z.int().min(1).optional().describe('Out of so many; 100 by default.') })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.numerator > (value.denominator ?? 100)) yield { at: ['numerator'], value: value.numerator, rule: 'at most denominator' }
    }),
  )
