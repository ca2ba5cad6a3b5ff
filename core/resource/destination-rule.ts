import { z } from 'zod'
import { judged, text, textMap, texts } from './field.ts'
import type { Complaint } from './field.ts'
import { fault, warning } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import { SUBSET, SUBSET_RULE } from './destination.ts'
import { exportToFaults } from './export-to.ts'
import { wildcardDomainComplaint } from './host-name.ts'
import type { ResourceKind } from './kind.ts'
import type { ResourceObject } from './object.ts'
import { emptySelectorWarnings, labelComplaints, workloadSelector } from './selector.ts'
import { trafficPolicy } from './traffic-policy.ts'
import type { PortTrafficPolicy, TrafficPolicy } from './traffic-policy.ts'

const subset = z
  .strictObject({
    name: text().describe('The name by which routes lead here.'),
    labels: textMap().optional().describe('Labels that an endpoint must bear, all of them.'),
    trafficPolicy: trafficPolicy.optional().describe('Settings for the subset, instead of the host’s.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.name === '') yield { at: ['name'], code: 'object.field-required', rule: 'the name of the subset' }
      else if (!SUBSET.test(value.name)) yield { at: ['name'], value: value.name, rule: SUBSET_RULE }
      yield* labelComplaints(value.labels, ['labels'])
    }),
  )
export type Subset = z.infer<typeof subset>

const destinationRuleSpec = z.strictObject({
  host: text().describe('The service, as the registry names it; a short name is completed with the object’s namespace.'),
  trafficPolicy: trafficPolicy.optional().describe('Settings for connections to the host.'),
  subsets: z.array(subset).optional().describe('Groups of endpoints, by labels.'),
  exportTo: texts().optional().describe('Namespaces that see the object: . its own, * all (the default).'),
  workloadSelector: workloadSelector.optional().describe('The workloads whose connections it is for; all by default.'),
})
export type DestinationRuleSpec = z.infer<typeof destinationRuleSpec>
type DestinationRule = ResourceObject & { readonly spec: DestinationRuleSpec }

function check(object: DestinationRule): Fault[] {
  const { spec } = object
  const faults = exportToFaults(spec.exportTo, { namespace: object.metadata.namespace ?? '', ownNamespaceOnly: spec.workloadSelector !== undefined })
  const complaint = wildcardDomainComplaint(spec.host)
  if (complaint !== undefined) faults.push(fault('object.field-range', { path: 'spec.host', value: spec.host, rule: complaint }))
  faults.push(...emptySelectorWarnings(spec.workloadSelector, 'spec.workloadSelector'))
  faults.push(...policyWarnings(spec.trafficPolicy, 'spec.trafficPolicy'))
  const names = new Set<string>()
  for (const [index, one] of (spec.subsets ?? []).entries()) {
    if (names.has(one.name)) faults.push(fault('object.field-conflict', { path: `spec.subsets[${index}].name`, value: one.name, rule: 'each subset once' }))
    names.add(one.name)
    faults.push(...policyWarnings(one.trafficPolicy, `spec.subsets[${index}].trafficPolicy`))
  }
  return faults
}

function policyWarnings(policy: TrafficPolicy | undefined, path: string): Fault[] {
  if (policy === undefined) return []
  const ports = (policy.portLevelSettings ?? []).flatMap((one, index) => settingsWarnings(one, `${path}.portLevelSettings[${index}]`))
  return [...settingsWarnings(policy, path), ...ports]
}

function settingsWarnings(policy: Omit<PortTrafficPolicy, 'port'>, path: string): Fault[] {
  const faults: Fault[] = []
  for (const name of ['localityLbSetting', 'zoneAwareLbSetting'] as const) {
    const locality = policy.loadBalancer?.[name]
    if ((!locality?.failover?.length && !locality?.failoverPriority?.length) || policy.outlierDetection !== undefined) continue
    faults.push(warning('object.field-inert', { path: `${path}.loadBalancer.${name}`, rule: 'failover needs outlierDetection, by which an endpoint counts as failed' }))
  }
  if (policy.loadBalancer?.consistentHash?.minimumRingSize) faults.push(warning('object.field-range', { path: `${path}.loadBalancer.consistentHash.minimumRingSize`, rule: 'deprecated', hint: 'use ringHash' }))
  if (policy.outlierDetection?.consecutiveErrors) faults.push(warning('object.field-range', { path: `${path}.outlierDetection.consecutiveErrors`, rule: 'deprecated', hint: 'use consecutive5xxErrors' }))
  return faults
}

export const destinationRule: ResourceKind<{ spec: DestinationRuleSpec }> = {
  group: 'networking.istio.io',
  versions: ['v1', 'v1beta1', 'v1alpha3'],
  kind: 'DestinationRule',
  plural: 'destinationrules',
  singular: 'destinationrule',
  shortNames: ['dr'],
  categories: ['istio-io', 'networking-istio-io'],
  namespaced: true,
  description: 'What happens to traffic for a service after routing: load balancing, bounds, TLS, subsets.',
  fields: z.strictObject({ spec: destinationRuleSpec.describe('The rule.') }),
  check,
  secretFields: [],
  printerColumns: [{ name: 'Host', type: 'string', jsonPath: '.spec.host' }],
  example: {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: 'reviews', namespace: 'default' },
    spec: { host: 'reviews', subsets: [{ name: 'v1', labels: { version: 'v1' } }, { name: 'v2', labels: { version: 'v2' } }] },
  },
}
