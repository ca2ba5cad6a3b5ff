import { z } from 'zod'
import { judged } from './field.ts'
import type { Complaint } from './field.ts'
import { isDnsLabel, isDnsSubdomain } from './host-name.ts'

const QUALIFIED = /^([a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)$/
const LABEL_VALUE = /^([a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)?$/
export const isLabelValue = (value: string): boolean => LABEL_VALUE.test(value)

const ANNOTATION_BYTES_MAX = 256 * 1024

export const objectMeta = z
  .strictObject({
    name: z.string().optional().describe('The name, unique among objects of the kind within the namespace.'),
    generateName: z.string().optional().describe('The beginning of a name that is made up when none is given.'),
    namespace: z.string().optional().describe('The namespace; none for kinds that have none.'),
    labels: z.record(z.string(), z.string()).optional().describe('Labels, by which objects are selected.'),
    annotations: z.record(z.string(), z.string()).optional().describe('Annotations, for tools.'),
    uid: z.string().optional().describe('Given by the server.'),
    resourceVersion: z.string().optional().describe('The revision of the mesh that last changed it. In an update: what must be stored now.'),
    generation: z.int().optional().describe('Counts changes of the spec. Given by the server.'),
    creationTimestamp: z.string().optional().describe('When it was made. Given by the server.'),
    deletionTimestamp: z.string().optional().describe('Given by the server.'),
    deletionGracePeriodSeconds: z.int().optional().describe('Given by the server.'),
    finalizers: z.array(z.string()).optional().describe('Who must take its entry out before the object is deleted.'),
    ownerReferences: z.array(z.looseObject({ apiVersion: z.string(), kind: z.string(), name: z.string(), uid: z.string() })).optional().describe('With the last of them the object goes, where it is deleted through the Kubernetes API.'),
    managedFields: z.array(z.record(z.string(), z.unknown())).optional().describe('Who set which field, for server-side apply.'),
    selfLink: z.string().optional().describe('Not in use.'),
    clusterName: z.string().optional().describe('Not in use.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      for (const [name, one] of Object.entries(value.labels ?? {})) {
        if (!isQualifiedName(name)) yield { at: ['labels', name], rule: 'a label name: [DOMAIN/]NAME, at most 63 characters' }
        if (!LABEL_VALUE.test(one)) yield { at: ['labels', name], value: one, rule: 'at most 63 letters, digits, -, _ and .' }
      }
      for (const one of value.finalizers ?? []) if (!isQualifiedName(one)) yield { at: ['finalizers'], value: one, rule: 'a name: [DOMAIN/]NAME' }
      let bytes = 0
      for (const [name, one] of Object.entries(value.annotations ?? {})) {
        if (!isQualifiedName(name)) yield { at: ['annotations', name], rule: 'an annotation name: [DOMAIN/]NAME' }
        bytes += name.length + one.length
      }
      if (bytes > ANNOTATION_BYTES_MAX) yield { at: ['annotations'], rule: `at most ${ANNOTATION_BYTES_MAX} bytes` }
    }),
  )

/** `[DOMAIN/]NAME`, as labels and annotations are named. */
export function isQualifiedName(name: string): boolean {
  const parts = name.split('/')
  if (parts.length > 2) return false
  const [domain, own] = parts.length === 2 ? parts : [undefined, parts[0]]
  return (domain === undefined || isDnsSubdomain(domain)) && QUALIFIED.test(own ?? '')
}

/** Kubernetes' rule for an object's name by kind, or undefined when the name is good. With `capitals`, as Istio's own tools take it: letter case does not count. */
export function nameComplaint(kind: string, name: string, capitals = false): string | undefined {
  if (kind === 'Namespace') return isDnsLabel(name) ? undefined : 'a DNS label: small letters, digits and dashes, at most 63'
  if (kind === 'Service') return /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name) ? undefined : 'a DNS label that begins with a letter, at most 63 characters'
  return isDnsSubdomain(capitals ? name.toLowerCase() : name) ? undefined : 'a DNS name: small letters, digits, dashes and dots, at most 253'
}
