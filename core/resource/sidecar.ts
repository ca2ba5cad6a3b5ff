import { z } from 'zod'
import { judged, text, texts } from './field.ts'
import type { Complaint } from './field.ts'
import { fault, warning } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import { isIp } from './address.ts'
import { connectionPool } from './connection-pool.ts'
import { destination, destinationComplaints } from './destination.ts'
import { isDnsLabel, wildcardDomainComplaint } from './host-name.ts'
import type { ResourceKind } from './kind.ts'
import type { ResourceObject } from './object.ts'
import { isHttpProtocol, isTlsProtocol, PROTOCOLS, readProtocol } from './protocol.ts'
import { labelSelector } from './selector.ts'
import { serverTls, serverTlsWarnings } from './server-tls.ts'
import type { ServerTls } from './server-tls.ts'

const sidecarPort = z
  .strictObject({
    number: z.int().min(0).max(65535).optional().describe('The port.'),
    protocol: text().optional().describe('What it speaks.'),
    name: text().optional().describe('A name.'),
    targetPort: z.int().min(0).max(65535).optional().describe('Not in use.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.name && !isDnsLabel(value.name.toLowerCase())) yield { at: ['name'], value: value.name, rule: 'a name of letters, digits and dashes' }
      if (value.targetPort) yield { at: ['targetPort'], value: value.targetPort, rule: 'left out: it has no meaning here' }
      if (value.protocol && readProtocol(value.protocol) === 'UNSUPPORTED') yield { at: ['protocol'], value: value.protocol, rule: `one of ${PROTOCOLS.join(', ')}` }
    }),
  )

const captureMode = z.enum(['DEFAULT', 'IPTABLES', 'NONE']).optional().describe('Whether traffic is captured.')

const ingressListener = z
  .strictObject({
    port: sidecarPort.describe('The port on which it listens.'),
    bind: text().optional().describe('The IP address to listen on.'),
    captureMode,
    defaultEndpoint: text().optional().describe('Where it passes requests on: 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT or unix:///PATH.'),
    tls: serverTls.optional().describe('TLS that ends at the sidecar.'),
    connectionPool: connectionPool.optional().describe('Bounds for this port.'),
  })
  .superRefine(judged(ingressComplaints))

function* ingressComplaints(value: { port: { number?: number | undefined; protocol?: string | undefined }; bind?: string | undefined; defaultEndpoint?: string | undefined; tls?: ServerTls | undefined }): Iterable<Complaint> {
  if (!value.port.number) yield { at: ['port', 'number'], code: 'object.field-required', rule: '1..65535' }
  if (value.bind && !isIp(value.bind)) yield { at: ['bind'], value: value.bind, rule: 'an IP address' }
  const endpoint = value.defaultEndpoint ?? ''
  if (endpoint.startsWith('unix://')) {
    if (!/^unix:\/\/(@|\/).*[^/]$/.test(endpoint)) yield { at: ['defaultEndpoint'], value: endpoint, rule: 'an absolute path after unix://' }
  } else if (endpoint !== '' && !/^(127\.0\.0\.1|0\.0\.0\.0|\[::1\]|\[::\]|localhost)?:([1-9]\d{0,4})$/.test(endpoint)) {
    yield { at: ['defaultEndpoint'], value: endpoint, rule: '127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, [::]:PORT or unix:///PATH' }
  }
  const { tls } = value
  if (tls === undefined) return
  for (const field of ['credentialName', 'credentialNames', 'tlsCertificates', 'httpsRedirect'] as const) if (tls[field]) yield { at: ['tls', field], rule: 'not at a sidecar' }
  if (tls.subjectAltNames?.length) yield { at: ['tls', 'subjectAltNames'], rule: 'not at a sidecar' }
  if (tls.mode === 'ISTIO_MUTUAL' || tls.mode === 'AUTO_PASSTHROUGH') yield { at: ['tls', 'mode'], value: tls.mode, rule: 'SIMPLE, MUTUAL, OPTIONAL_MUTUAL or PASSTHROUGH at a sidecar' }
  if (!isTlsProtocol(readProtocol(value.port.protocol ?? ''))) yield { at: ['tls'], code: 'object.field-conflict', rule: 'only where the protocol is HTTPS or TLS' }
}

const egressListener = z
  .strictObject({
    port: sidecarPort.optional().describe('The port on which it listens; those of the hosts by default.'),
    bind: text().optional().describe('The IP address or Unix socket to listen on.'),
    captureMode,
    hosts: texts().describe('Hosts that may be called, NAMESPACE/HOST; * for all, . for the own namespace, ~/* for none.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.hosts.length === 0) yield { at: ['hosts'], code: 'object.field-required', rule: 'at least one host' }
      for (const [index, host] of value.hosts.entries()) {
        const [namespace = '', name = '', ...more] = host.split('/')
        if (name === '' || namespace === '' || more.length > 0) yield { at: ['hosts', index], value: host, rule: 'NAMESPACE/HOST' }
        else {
          if (!['*', '.', ''].includes(namespace.replace(/^~/, '')) && !isDnsLabel(namespace.replace(/^~/, '').toLowerCase())) yield { at: ['hosts', index], value: host, rule: 'a namespace, *, . or ~ before the slash' }
          const complaint = wildcardDomainComplaint(name)
          if (complaint !== undefined) yield { at: ['hosts', index], value: host, rule: complaint }
          else if (name !== '*' && (!name.includes('.') || /^\*[^.]/.test(name))) yield { at: ['hosts', index], value: host, rule: 'a full host name, or *. and the end of one' }
        }
      }
      const { port, bind = '' } = value
      if (port === undefined) return
      if (port.number) {
        if (bind.startsWith('unix://')) yield { at: ['port', 'number'], value: port.number, rule: '0 for a Unix socket' }
        else if (bind !== '' && !isIp(bind)) yield { at: ['bind'], value: bind, rule: 'an IP address, or unix:// and a path' }
      } else if (!bind.startsWith('unix://')) yield { at: ['port', 'number'], code: 'object.field-required', rule: '1..65535' }
      else if (!/^unix:\/\/(@|\/).*[^/]$/.test(bind)) yield { at: ['bind'], value: bind, rule: 'an absolute path after unix://' }
      else if (value.captureMode === 'IPTABLES') yield { at: ['captureMode'], value: value.captureMode, rule: 'NONE or DEFAULT for a Unix socket' }
    }),
  )
export type EgressListener = z.infer<typeof egressListener>

const sidecarSpec = z
  .strictObject({
    workloadSelector: labelSelector.optional().describe('The workloads; all of the namespace by default.'),
    ingress: z.array(ingressListener).optional().describe('Inbound listeners, instead of those that follow from services.'),
    egress: z.array(egressListener).optional().describe('What may be called.'),
    inboundConnectionPool: connectionPool.optional().describe('Bounds of inbound traffic.'),
    outboundTrafficPolicy: z
      .strictObject({
        mode: z.enum(['REGISTRY_ONLY', 'ALLOW_ANY']).optional().describe('Whether hosts that nothing describes may be called.'),
        egressProxy: destination.optional().describe('Where traffic to unknown hosts goes.'),
      })
      .superRefine(
        judged(function* (value): Iterable<Complaint> {
          if (value.egressProxy === undefined) return
          if (value.mode !== 'ALLOW_ANY') yield { at: ['egressProxy'], code: 'object.field-conflict', rule: 'only for mode ALLOW_ANY' }
          else if (value.egressProxy.port === undefined) yield { at: ['egressProxy', 'port'], code: 'object.field-required', rule: 'the port of the proxy' }
          else yield* destinationComplaints(value.egressProxy, ['egressProxy'])
        }),
      )
      .optional()
      .describe('What becomes of traffic to unknown hosts.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (!value.ingress?.length && !value.egress?.length && value.outboundTrafficPolicy === undefined && value.inboundConnectionPool === undefined) yield { code: 'object.field-required', rule: 'ingress, egress, outboundTrafficPolicy or inboundConnectionPool' }
      const ports = new Set<number>()
      for (const [index, one] of (value.ingress ?? []).entries()) {
        const number = one.port.number ?? 0
        if (ports.has(number)) yield { at: ['ingress', index, 'port', 'number'], value: number, code: 'object.field-conflict', rule: 'each port once' }
        ports.add(number)
      }
      yield* egressListComplaints(value.egress ?? [])
    }),
  )
export type SidecarSpec = z.infer<typeof sidecarSpec>
type Sidecar = ResourceObject & { readonly spec: SidecarSpec }

function* egressListComplaints(listeners: readonly EgressListener[]): Iterable<Complaint> {
  const seen = new Set<string>()
  for (const [index, one] of listeners.entries()) {
    const at = ['egress', index]
    if (one.port === undefined) {
      if (index !== listeners.length - 1) yield { at, code: 'object.field-conflict', rule: 'a listener without port stands last' }
      continue
    }
    const key = one.port.number ? String(one.port.number) : (one.bind ?? '')
    if (seen.has(key)) yield { at, code: 'object.field-conflict', rule: 'each port, and each Unix socket, once' }
    seen.add(key)
  }
}

/** Hosts that others of the list cover already. */
function coveredHosts(hosts: readonly string[], own: string, path: string): Fault[] {
  const faults: Fault[] = []
  const seen = new Map<string, Set<string>>()
  for (const [index, host] of hosts.entries()) {
    if (host.startsWith('~')) continue
    const cut = host.indexOf('/')
    const namespace = host.slice(0, cut) === '.' ? own : host.slice(0, cut)
    const name = host.slice(cut + 1)
    const names = seen.get(namespace) ?? new Set()
    seen.set(namespace, names)
    if (name === '*' ? names.size > 0 : names.has(name) || names.has('*')) faults.push(warning('object.field-inert', { path: `${path}[${index}]`, value: host, rule: 'each host once: one before and this cover the same' }))
    names.add(name)
  }
  if (seen.get('*')?.has('*') === true && seen.size > 1) faults.push(warning('object.field-inert', { path, rule: '*/* covers all others' }))
  return faults
}

function check(object: Sidecar): Fault[] {
  const { spec } = object
  const faults: Fault[] = []
  if (spec.workloadSelector !== undefined && Object.keys(spec.workloadSelector.labels ?? {}).length === 0) faults.push(warning('object.field-inert', { path: 'spec.workloadSelector', rule: 'a selector without labels selects every workload' }))
  for (const [index, listener] of (spec.ingress ?? []).entries()) {
    const protocol = listener.port.protocol ?? ''
    if (listener.connectionPool?.http !== undefined && !isHttpProtocol(readProtocol(protocol))) faults.push(warning('object.field-inert', { path: `spec.ingress[${index}].connectionPool.http`, rule: `the port does not speak HTTP${protocol === '' ? ', as far as it says' : ` but ${protocol}`}` }))
    if (listener.tls !== undefined) faults.push(...serverTlsWarnings(listener.tls, `spec.ingress[${index}].tls`))
  }
  for (const [index, listener] of (spec.egress ?? []).entries()) faults.push(...coveredHosts(listener.hosts, object.metadata.namespace ?? '', `spec.egress[${index}].hosts`))
  if (spec.outboundTrafficPolicy?.egressProxy?.host.includes('*')) faults.push(fault('object.field-range', { path: 'spec.outboundTrafficPolicy.egressProxy.host', value: spec.outboundTrafficPolicy.egressProxy.host, rule: 'a host without wildcards' }))
  return faults
}

export const sidecar: ResourceKind<{ spec: SidecarSpec }> = {
  group: 'networking.istio.io',
  versions: ['v1', 'v1beta1', 'v1alpha3'],
  kind: 'Sidecar',
  plural: 'sidecars',
  singular: 'sidecar',
  shortNames: [],
  categories: ['istio-io', 'networking-istio-io'],
  namespaced: true,
  description: 'What sidecars listen on and which hosts they know.',
  fields: z.strictObject({ spec: sidecarSpec.describe('The listeners.') }),
  check,
  secretFields: [],
  printerColumns: [],
  example: { apiVersion: 'networking.istio.io/v1', kind: 'Sidecar', metadata: { name: 'default', namespace: 'default' }, spec: { egress: [{ hosts: ['./*', 'istio-system/*'] }] } },
}
