import { z } from 'zod'
import { judged, portNumber, texts } from './field.ts'
import type { Complaint } from './field.ts'
import { warning } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import { isCidr, isIp } from './address.ts'
import { exportToFaults } from './export-to.ts'
import { domainComplaint, wildcardDomainComplaint } from './host-name.ts'
import type { ResourceKind } from './kind.ts'
import type { ResourceObject } from './object.ts'
import { isHttpProtocol, isTlsProtocol, PROTOCOLS, readProtocol } from './protocol.ts'
import { labelSelector } from './selector.ts'
import { workloadEntrySpec } from './workload-entry.ts'

const serviceEntryPort = z
  .strictObject({
    number: portNumber().describe('The port.'),
    name: z.string().max(256).describe('A name, unique within the entry.'),
    protocol: z.string().max(256).optional().describe('What it speaks; sniffed by default.'),
    targetPort: portNumber().optional().describe('The port of the endpoints, where it differs.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (!/^[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/.test(value.name)) yield { at: ['name'], value: value.name, rule: 'a name of letters, digits and dashes' }
      if (value.protocol && ['UNSUPPORTED', 'HBONE'].includes(readProtocol(value.protocol))) yield { at: ['protocol'], value: value.protocol, rule: `one of ${PROTOCOLS.join(', ')}` }
    }),
  )
type ServiceEntryPort = z.infer<typeof serviceEntryPort>

const serviceEntrySpec = z
  .strictObject({
    hosts: z.array(z.string()).min(1).max(256).describe('Hosts that the entry makes known.'),
    addresses: z.array(z.string().max(64)).max(256).optional().describe('Addresses or blocks by which it is reached.'),
    ports: z.array(serviceEntryPort).max(256).optional().describe('Its ports.'),
    location: z.enum(['MESH_EXTERNAL', 'MESH_INTERNAL']).optional().describe('Whether it is part of the mesh; MESH_EXTERNAL by default.'),
    resolution: z.enum(['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS']).optional().describe('How its endpoints are found; NONE by default.'),
    endpoints: z.array(workloadEntrySpec).max(4096).optional().describe('Its endpoints.'),
    workloadSelector: labelSelector.optional().describe('Workloads that are its endpoints, by labels.'),
    exportTo: texts().optional().describe('Namespaces that see it: . its own, * all (the default), ~ none.'),
    subjectAltNames: texts().optional().describe('Names, one of which its certificate must bear.'),
  })
  .superRefine(judged(serviceEntryComplaints))
export type ServiceEntrySpec = z.infer<typeof serviceEntrySpec>
type ServiceEntry = ResourceObject & { readonly spec: ServiceEntrySpec }

interface Parts {
  hosts: string[]
  addresses?: string[] | undefined
  ports?: ServiceEntryPort[] | undefined
  location?: string | undefined
  resolution?: string | undefined
  endpoints?: z.infer<typeof workloadEntrySpec>[] | undefined
  workloadSelector?: { labels?: Record<string, string> | undefined } | undefined
}

function* serviceEntryComplaints(value: Parts): Iterable<Complaint> {
  const resolution = value.resolution ?? 'NONE'
  const endpoints = value.endpoints ?? []
  for (const [index, host] of value.hosts.entries()) {
    const complaint = host === '*' ? 'a host, not * alone' : wildcardDomainComplaint(host)
    if (complaint !== undefined) yield { at: ['hosts', index], value: host, rule: complaint }
  }
  for (const [index, address] of (value.addresses ?? []).entries()) {
    if (!isIp(address) && !isCidr(address)) yield { at: ['addresses', index], value: address, rule: 'an IP address or a block such as 10.0.0.0/8' }
    if (address.includes('/') && !['STATIC', 'NONE'].includes(resolution)) yield { at: ['addresses', index], value: address, code: 'object.field-conflict', rule: 'blocks only for resolution NONE and STATIC' }
  }
  if (value.workloadSelector !== undefined && value.endpoints !== undefined) yield { at: ['endpoints'], code: 'object.field-conflict', rule: 'only one of workloadSelector, endpoints may be set' }
  const names = new Set<string>()
  const numbers = new Set<number>()
  for (const [index, port] of (value.ports ?? []).entries()) {
    if (names.has(port.name)) yield { at: ['ports', index, 'name'], value: port.name, code: 'object.field-conflict', rule: 'each name once' }
    if (numbers.has(port.number)) yield { at: ['ports', index, 'number'], value: port.number, code: 'object.field-conflict', rule: 'each port once' }
    names.add(port.name)
    numbers.add(port.number)
  }
  for (const [index, one] of endpoints.entries()) {
    for (const name of Object.keys(one.ports ?? {})) if (!names.has(name)) yield { at: ['endpoints', index, 'ports', name], rule: 'a port that the entry has' }
    const address = one.address ?? ''
    if (address === '') continue
    if (resolution === 'STATIC' && !isIp(address) && !address.startsWith('unix://')) yield { at: ['endpoints', index, 'address'], value: address, rule: 'an IP address, for resolution STATIC' }
    if (resolution.startsWith('DNS') && !isIp(address) && domainComplaint(address) !== undefined) yield { at: ['endpoints', index, 'address'], value: address, rule: 'an IP address or a host name without wildcards' }
    if (address.startsWith('unix://') && (value.ports ?? []).length !== 1) yield { at: ['endpoints', index, 'address'], value: address, rule: 'an entry with a Unix socket has one port' }
  }
  yield* resolutionComplaints(value, resolution)
}

function* resolutionComplaints(value: Parts, resolution: string): Iterable<Complaint> {
  const endpoints = value.endpoints ?? []
  if (resolution !== 'NONE' && value.hosts.length > 1) {
    const mute = (value.ports ?? []).findIndex(({ protocol = '' }) => !isHttpProtocol(readProtocol(protocol)) && !isTlsProtocol(readProtocol(protocol)))
    if (mute >= 0) yield { at: ['ports', mute, 'protocol'], value: value.ports?.[mute]?.protocol ?? '', code: 'object.field-conflict', rule: 'HTTP or TLS, where there are several hosts: plain bytes do not say which is meant' }
  }
  if (resolution === 'NONE' && value.endpoints !== undefined) yield { at: ['endpoints'], code: 'object.field-conflict', rule: 'none for resolution NONE', hint: 'resolution: STATIC for addresses, DNS for names' }
  if (resolution.startsWith('DNS')) {
    if (endpoints.length === 0) {
      for (const [index, host] of value.hosts.entries()) if (host.includes('*')) yield { at: ['hosts', index], value: host, code: 'object.field-conflict', rule: 'a full name, where endpoints are not given and names are looked up' }
    }
    if (resolution === 'DNS_ROUND_ROBIN' && endpoints.length > 1) yield { at: ['endpoints'], code: 'object.field-conflict', rule: 'at most one for resolution DNS_ROUND_ROBIN' }
  }
  if (resolution === 'DYNAMIC_DNS') {
    for (const [index, host] of value.hosts.entries()) if (!host.startsWith('*')) yield { at: ['hosts', index], value: host, rule: 'a wildcard such as *.example.com for resolution DYNAMIC_DNS' }
    if (value.location === 'MESH_INTERNAL') yield { at: ['location'], code: 'object.field-conflict', rule: 'MESH_EXTERNAL for resolution DYNAMIC_DNS' }
    for (const field of ['addresses', 'endpoints', 'workloadSelector'] as const) if (value[field] !== undefined) yield { at: [field], code: 'object.field-conflict', rule: 'not for resolution DYNAMIC_DNS' }
    for (const [index, port] of (value.ports ?? []).entries()) {
      const protocol = readProtocol(port.protocol ?? '')
      if (!isHttpProtocol(protocol) && !isTlsProtocol(protocol)) yield { at: ['ports', index, 'protocol'], value: port.protocol, rule: 'HTTP or TLS for resolution DYNAMIC_DNS' }
    }
  }
}

function check(object: ServiceEntry): Fault[] {
  const { spec } = object
  const faults = exportToFaults(spec.exportTo, { namespace: object.metadata.namespace ?? '', nobodyAllowed: true })
  const resolution = spec.resolution ?? 'NONE'
  if (spec.workloadSelector !== undefined && resolution === 'NONE') faults.push(warning('object.field-inert', { path: 'spec.workloadSelector', rule: 'resolution NONE has no endpoints' }))
  for (const [index, host] of spec.hosts.entries()) {
    if (/^\*[^.]/.test(host) && resolution !== 'DYNAMIC_DNS') faults.push(warning('object.field-range', { path: `spec.hosts[${index}]`, value: host, rule: 'a wildcard stands for a whole first label, as in *.example.com' }))
  }
  // Where it is given none of its own, an address is allocated, unless this was declined.
  const allocated = resolution !== 'NONE' && object.metadata.labels?.['networking.istio.io/enable-autoallocate-ip']?.toLowerCase() !== 'false'
  for (const [index, port] of (spec.ports ?? []).entries()) {
    if (!allocated && ['', 'TCP'].includes(port.protocol ?? '') && !spec.addresses?.length) {
      faults.push(warning('object.field-range', { path: `spec.ports[${index}]`, value: port.name, rule: 'a TCP port without addresses is reached by its number alone, whoever owns it' }))
    }
  }
  if (resolution.startsWith('DNS') && spec.addresses?.length && spec.hosts.length > 1 && (spec.ports ?? []).some(({ protocol = '' }) => isTlsProtocol(readProtocol(protocol)))) {
    faults.push(warning('object.field-conflict', { path: 'spec.addresses', rule: 'one host, where connections are told apart by address: the others are not looked up' }))
  }
  if (Object.keys(spec.workloadSelector?.labels ?? {}).length === 0 && spec.workloadSelector !== undefined && resolution !== 'NONE') faults.push(warning('object.field-inert', { path: 'spec.workloadSelector', rule: 'a selector without labels selects nothing' }))
  return faults
}

export const serviceEntry: ResourceKind<{ spec: ServiceEntrySpec }> = {
  group: 'networking.istio.io',
  versions: ['v1', 'v1beta1', 'v1alpha3'],
  kind: 'ServiceEntry',
  plural: 'serviceentries',
  singular: 'serviceentry',
  shortNames: ['se'],
  categories: ['istio-io', 'networking-istio-io'],
  namespaced: true,
  description: 'A service that no Kubernetes Service describes: outside the mesh, or made of WorkloadEntries.',
  fields: z.strictObject({ spec: serviceEntrySpec.describe('The service.') }),
  check,
  secretFields: [],
  printerColumns: [
    { name: 'Hosts', type: 'string', jsonPath: '.spec.hosts' },
    { name: 'Location', type: 'string', jsonPath: '.spec.location' },
    { name: 'Resolution', type: 'string', jsonPath: '.spec.resolution' },
  ],
  example: {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: 'billing', namespace: 'default' },
    spec: { hosts: ['billing.example.com'], location: 'MESH_EXTERNAL', ports: [{ number: 443, name: 'tls', protocol: 'TLS' }], resolution: 'DNS' },
  },
}
