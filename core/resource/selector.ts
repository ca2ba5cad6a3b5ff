import { z } from 'zod'
import { judged, textMap } from './field.ts'
import type { Complaint } from './field.ts'
import { warning } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'

/** What a selector asks for. It is compared and never written, so that any text but a wildcard will do. */
function* selectorComplaints(labels: Readonly<Record<string, string>> | undefined, at: readonly string[]): Iterable<Complaint> {
  for (const [name, value] of Object.entries(labels ?? {})) {
    if (name === '') yield { at: [...at, name], rule: 'a label has a name' }
    else if (name.includes('*')) yield { at: [...at, name], rule: 'no wildcards in labels' }
    else if (value.includes('*')) yield { at: [...at, name], value, rule: 'no wildcards in labels' }
    else if (value.length > 63) yield { at: [...at, name], value, rule: 'at most 63 characters' }
  }
}

const QUALIFIED = '(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'
const DNS_LABEL = '[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?'
const LABEL_NAME = new RegExp(`^(?:${DNS_LABEL}(?:\\.${DNS_LABEL})*/)?${QUALIFIED}$`)
const LABEL_VALUE = new RegExp(`^(?:${QUALIFIED})?$`)

/** Labels as Kubernetes takes them: `[DOMAIN/]NAME`, and a value of letters, digits, `-`, `_` and `.`. */
export function* labelComplaints(labels: Readonly<Record<string, string>> | undefined, at: readonly string[]): Iterable<Complaint> {
  for (const [name, value] of Object.entries(labels ?? {})) {
    if (!LABEL_NAME.test(name)) yield { at: [...at, name], rule: 'the name of a label: [DOMAIN/]NAME of letters, digits, -, _ and .' }
    if (!LABEL_VALUE.test(value)) yield { at: [...at, name], value, rule: 'the value of a label: letters, digits, -, _ and .' }
  }
}

/** `selector.matchLabels`, as security and telemetry kinds have it. */
export const workloadSelector = z
  .strictObject({ matchLabels: textMap().optional().describe('Labels that a workload must bear, all of them.') })
  .superRefine(judged((value) => selectorComplaints(value.matchLabels, ['matchLabels'])))
export type WorkloadSelector = z.infer<typeof workloadSelector>

/** `workloadSelector.labels`, as networking kinds have it. */
export const labelSelector = z
  .strictObject({ labels: textMap().optional().describe('Labels that a workload must bear, all of them.') })
  .superRefine(judged((value) => selectorComplaints(value.labels, ['labels'])))

export function emptySelectorWarnings(selector: WorkloadSelector | undefined, path: string): Fault[] {
  if (selector === undefined || Object.keys(selector.matchLabels ?? {}).length > 0) return []
  return [warning('object.field-inert', { path, rule: 'a selector without labels selects every workload' })]
}

const TARGETS = ['/Service', 'core/Service', 'networking.istio.io/ServiceEntry', 'gateway.networking.k8s.io/Gateway', 'gateway.networking.k8s.io/GatewayClass']

/** A reference to what a policy is attached to. */
export const targetReference = z
  .strictObject({
    group: z.string().max(253).optional().describe('The API group of the target; empty for core.'),
    kind: z.string().min(1).max(63).describe('The kind of the target.'),
    name: z.string().min(1).max(253).describe('The name of the target.'),
    namespace: z.string().optional().describe('Not in use: the target lives in the policy’s namespace.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.namespace) yield { at: ['namespace'], value: value.namespace, rule: 'left out: a target lives in the namespace of its policy' }
      if (!TARGETS.includes(`${value.group ?? ''}/${value.kind}`)) yield { at: ['kind'], value: `${value.group ?? ''}/${value.kind}`, rule: 'a Service, ServiceEntry, Gateway or GatewayClass' }
    }),
  )
export type TargetReference = z.infer<typeof targetReference>

/** The fields by which a policy says where it applies, for a spec's shape. */
export const whereFields = {
  selector: workloadSelector.optional().describe('The workloads; all of the namespace by default.'),
  targetRef: targetReference.optional().describe('Deprecated: use targetRefs.'),
  targetRefs: z.array(targetReference).max(16).optional().describe('Services or gateways to which it is attached, instead of a selector.'),
}

export function* whereComplaints(value: { selector?: unknown; targetRef?: unknown; targetRefs?: readonly unknown[] | undefined }): Iterable<Complaint> {
  const given = (['selector', 'targetRef', 'targetRefs'] as const).filter((name) => (name === 'targetRefs' ? value.targetRefs?.length : value[name]))
  if (given.length > 1) yield { at: [given[1] ?? ''], code: 'object.field-conflict', rule: 'only one of selector, targetRef, targetRefs may be set' }
}
