import { z } from 'zod'
import { judged, text, textMap, uint32 } from './field.ts'
import type { Complaint } from './field.ts'
import { warning } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import { isIp } from './address.ts'
import { domainComplaint } from './host-name.ts'
import type { ResourceKind } from './kind.ts'
import type { ResourceObject } from './object.ts'
import { labelComplaints } from './selector.ts'

/** The fields of a workload, which the template of a WorkloadGroup shares. */
export const workloadEntryFields = {
  address: z.string().max(256).optional().describe('IP address, host name (resolution DNS), or unix:// and a path.'),
  ports: z.record(z.string(), z.int().min(1).max(65535)).optional().describe('Ports of the workload by the service port’s name, where they differ.'),
  labels: textMap().optional().describe('Labels by which it is selected.'),
  network: z.string().max(2048).optional().describe('Its network: workloads of one network reach each other directly.'),
  locality: z.string().max(2048).optional().describe('REGION/ZONE/SUBZONE.'),
  weight: uint32().optional().describe('Its share of requests, relative to others.'),
  serviceAccount: text().optional().describe('The service account as which it runs.'),
}

/** A workload outside any cluster: an object of its own, or an endpoint of a ServiceEntry. */
export const workloadEntrySpec = z.strictObject(workloadEntryFields).superRefine(judged(workloadEntryComplaints))
export type WorkloadEntrySpec = z.infer<typeof workloadEntrySpec>
type WorkloadEntry = ResourceObject & { readonly spec: WorkloadEntrySpec }

const PORT_NAME = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$/

interface Place {
  address?: string | undefined
  ports?: Record<string, number> | undefined
  network?: string | undefined
  labels?: Record<string, string> | undefined
}

function* workloadEntryComplaints(value: Place): Iterable<Complaint> {
  if (!value.address && !value.network) yield { at: ['address'], code: 'object.field-required', rule: 'an address, or a network' }
  yield* workloadEntryPlaceComplaints(value)
  yield* labelComplaints(value.labels, ['labels'])
}

/** What holds for an address and ports wherever they stand; none need be there. */
export function* workloadEntryPlaceComplaints(value: Place): Iterable<Complaint> {
  const address = value.address ?? ''
  if (address.startsWith('unix://')) {
    const path = address.slice('unix://'.length)
    if (!path.startsWith('/') && !path.startsWith('@')) yield { at: ['address'], value: address, rule: 'an absolute path after unix://' }
    if (path.endsWith('/')) yield { at: ['address'], value: address, rule: 'a file after unix://' }
    if (value.ports !== undefined) yield { at: ['ports'], code: 'object.field-conflict', rule: 'none for a Unix socket' }
  } else if (address !== '' && !isIp(address)) {
    const complaint = domainComplaint(address)
    if (complaint !== undefined) yield { at: ['address'], value: address, rule: `an IP address or a host name: ${complaint}` }
  }
  for (const name of Object.keys(value.ports ?? {})) if (name.length > 62 || !PORT_NAME.test(name)) yield { at: ['ports', name], rule: 'the name of a port' }
}

const check = (object: WorkloadEntry): Fault[] =>
  object.spec.address || !object.spec.network ? [] : [warning('object.field-inert', { path: 'spec.address', rule: 'without an address it is reached through the gateway of its network alone' })]

export const workloadEntry: ResourceKind<{ spec: WorkloadEntrySpec }> = {
  group: 'networking.istio.io',
  versions: ['v1', 'v1beta1', 'v1alpha3'],
  kind: 'WorkloadEntry',
  plural: 'workloadentries',
  singular: 'workloadentry',
  shortNames: ['we'],
  categories: ['istio-io', 'networking-istio-io'],
  namespaced: true,
  description: 'A workload outside any cluster, such as a virtual machine.',
  fields: z.strictObject({ spec: workloadEntrySpec.describe('The workload.') }),
  check,
  secretFields: [],
  printerColumns: [{ name: 'Address', type: 'string', jsonPath: '.spec.address' }],
  example: { apiVersion: 'networking.istio.io/v1', kind: 'WorkloadEntry', metadata: { name: 'ledger-vm', namespace: 'default' }, spec: { address: '10.0.0.7', labels: { app: 'ledger' }, serviceAccount: 'ledger' } },
}
