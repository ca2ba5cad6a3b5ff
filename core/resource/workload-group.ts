import { z } from 'zod'
import { judged, textMap } from './field.ts'
import type { ResourceKind } from './kind.ts'
import { readinessProbe } from './readiness-probe.ts'
import { labelComplaints } from './selector.ts'
import { workloadEntryFields, workloadEntryPlaceComplaints } from './workload-entry.ts'

const workloadGroupSpec = z.strictObject({
  metadata: z
    .strictObject({
      labels: textMap().optional().describe('Labels that every WorkloadEntry of the group bears.'),
      annotations: textMap().optional().describe('Annotations that every WorkloadEntry of the group bears; of those only proxy.istio.io/config means anything to a proxy: what it starts with.'),
    })
    .superRefine(judged((value) => labelComplaints(value.labels, ['labels'])))
    .optional()
    .describe('Metadata of the WorkloadEntries that are made from the group.'),
  template: z
    .strictObject(workloadEntryFields)
    .superRefine(judged(workloadEntryPlaceComplaints))
    .describe('What workloads that register for its account begin with. Their addresses are their own.'),
  probe: readinessProbe.optional().describe('How a workload is asked whether it is ready, by its proxy, once that is ready itself: it is called from the first success on, and while it does not fail. None: it is called once its proxy is ready.'),
})
export type WorkloadGroupSpec = z.infer<typeof workloadGroupSpec>

export const workloadGroup: ResourceKind<{ spec: WorkloadGroupSpec }> = {
  group: 'networking.istio.io',
  versions: ['v1', 'v1beta1', 'v1alpha3'],
  kind: 'WorkloadGroup',
  plural: 'workloadgroups',
  singular: 'workloadgroup',
  shortNames: ['wg'],
  categories: ['istio-io', 'networking-istio-io'],
  namespaced: true,
  description: 'What workloads outside any cluster have in common; each that registers becomes a WorkloadEntry.',
  fields: z.strictObject({ spec: workloadGroupSpec.describe('The group.') }),
  check: () => [],
  secretFields: [],
  printerColumns: [],
  example: {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadGroup',
    metadata: { name: 'ledger', namespace: 'default' },
    spec: { metadata: { labels: { app: 'ledger' } }, template: { serviceAccount: 'ledger', ports: { http: 8080 } }, probe: { httpGet: { path: '/ready', port: 8080 } } },
  },
}
