import { fault, warning } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import { isIp } from './address.ts'
import { exportToFaults } from './export-to.ts'
import { hostsOverlap, isDnsLabel, isDnsSubdomain, wildcardDomainComplaint } from './host-name.ts'
import { formatPath } from './path.ts'
import { labelComplaints } from './selector.ts'
import { shadowedRoutes } from './virtual-service-shadow.ts'
import type { VirtualService, VirtualServiceSpec } from './virtual-service.ts'
import type { HttpRoute } from './virtual-service-http.ts'

const MESH = 'mesh'

/** Istio's rules for a VirtualService as a whole: gateways, hosts, delegates, server names, routes that can never match. */
export function virtualServiceFaults(object: VirtualService): Fault[] {
  const { spec } = object
  const faults = [
    ...gatewayFaults(spec.gateways, 'spec.gateways'),
    ...exportToFaults(spec.exportTo, { namespace: object.metadata.namespace ?? '' }),
    ...hostFaults(spec),
  ]
  for (const name of ['internal.istio.io/parents', 'internal.istio.io/parent-namespace']) {
    if (object.metadata.annotations?.[name] !== undefined) faults.push(fault('object.field-conflict', { path: formatPath(['metadata', 'annotations', name]), rule: 'left out: a control plane writes it into what it makes itself' }))
  }
  if (!spec.http?.length && !spec.tls?.length && !spec.tcp?.length) {
    faults.push(fault('object.field-required', { path: 'spec', rule: 'at least one of http, tls, tcp' }))
  }
  for (const [index, route] of (spec.http ?? []).entries()) faults.push(...routeFaults(spec, route, `spec.http[${index}]`))
  for (const [index, route] of (spec.tls ?? []).entries()) {
    for (const [at, match] of route.match.entries()) {
      const path = `spec.tls[${index}].match[${at}]`
      faults.push(...gatewayFaults(match.gateways, `${path}.gateways`), ...sourceFaults(match, path), ...serverNameFaults(match.sniHosts, spec.hosts ?? [], `${path}.sniHosts`))
    }
  }
  for (const [index, route] of (spec.tcp ?? []).entries()) {
    for (const [at, match] of (route.match ?? []).entries()) faults.push(...gatewayFaults(match.gateways, `spec.tcp[${index}].match[${at}].gateways`), ...sourceFaults(match, `spec.tcp[${index}].match[${at}]`))
  }
  return [...faults, ...shadowedRoutes(spec)]
}

const forMesh = (spec: VirtualServiceSpec): boolean => !spec.gateways?.length || spec.gateways.includes(MESH)
const forGateways = (spec: VirtualServiceSpec): boolean => (spec.gateways ?? []).some((name) => name !== MESH)

function hostFaults(spec: VirtualServiceSpec): Fault[] {
  const hosts = spec.hosts ?? []
  if (hosts.length === 0) {
    // Without hosts it is a delegate: it counts only where a root leads to it.
    return (['gateways', 'tls', 'tcp'] as const)
      .filter((field) => spec[field]?.length)
      .map((field) => fault('object.field-conflict', { path: `spec.${field}`, rule: 'a VirtualService without hosts is a delegate, and has http alone' }))
  }
  const faults: Fault[] = []
  for (const [index, host] of hosts.entries()) {
    const path = `spec.hosts[${index}]`
    const complaint = isIp(host) ? undefined : wildcardDomainComplaint(host)
    if (complaint !== undefined) faults.push(fault('object.field-range', { path, value: host, rule: complaint }))
    else if (host === '*' && forMesh(spec)) faults.push(fault('object.field-range', { path, value: host, rule: '* is for gateways alone', hint: 'name gateways, or the hosts' }))
  }
  if (faults.length > 0) return faults
  for (const [index, host] of hosts.entries()) {
    const twin = hosts.slice(0, index).find((other) => hostsOverlap(other, host))
    if (twin !== undefined) faults.push(fault('object.field-conflict', { path: `spec.hosts[${index}]`, value: host, rule: `${twin} covers it already` }))
  }
  return faults
}

/** `mesh`, NAME or NAMESPACE/NAME; `gateway.example.com` is an old way to write a name. */
function gatewayFaults(gateways: readonly string[] | undefined, path: string): Fault[] {
  const faults: Fault[] = []
  for (const [index, name] of (gateways ?? []).entries()) {
    const at = `${path}[${index}]`
    const parts = name.split('/')
    const good = parts.length === 1 ? isDnsSubdomain(name) : parts.length === 2 && isDnsLabel(parts[0] ?? '') && isDnsSubdomain(parts[1] ?? '')
    if (!good) faults.push(fault('object.field-range', { path: at, value: name, rule: 'mesh, NAME or NAMESPACE/NAME' }))
    else if (parts.length === 1 && name.includes('.')) {
      const [gateway, namespace] = name.split('.')
      faults.push(warning('object.field-range', { path: at, value: name, rule: 'a form of old', hint: `write ${namespace}/${gateway}` }))
    }
  }
  return faults
}

function sourceFaults(match: { sourceNamespace?: string | undefined; sourceLabels?: Readonly<Record<string, string>> | undefined }, path: string): Fault[] {
  const labels = [...labelComplaints(match.sourceLabels, [])].map(({ at = [], rule, value }) => fault('object.field-range', { path: formatPath([path, 'sourceLabels', ...at]), value, rule }))
  const namespace = match.sourceNamespace
  return namespace && !isDnsLabel(namespace.toLowerCase()) ? [...labels, fault('object.field-range', { path: `${path}.sourceNamespace`, value: namespace, rule: 'the name of a namespace' })] : labels
}

function serverNameFaults(names: readonly string[], hosts: readonly string[], path: string): Fault[] {
  const faults: Fault[] = []
  for (const [index, name] of names.entries()) {
    const at = `${path}[${index}]`
    if (isIp(name)) {
      faults.push(warning('object.field-range', { path: at, value: name, rule: 'an IP address is no server name (RFC 6066 §3), and most clients send none' }))
      continue
    }
    const within = hosts.some((host) => host === name || (host.startsWith('*') && name.replace(/^\*/, '').endsWith(host.slice(1))))
    if (!within && hosts.length > 0) faults.push(fault('object.field-conflict', { path: at, value: name, rule: 'a name that one of spec.hosts covers' }))
  }
  return faults
}

function routeFaults(spec: VirtualServiceSpec, route: HttpRoute, path: string): Fault[] {
  const faults: Fault[] = []
  const isDelegate = !spec.hosts?.length
  if (isDelegate && route.delegate !== undefined) faults.push(fault('object.field-conflict', { path: `${path}.delegate`, rule: 'a delegate does not delegate further' }))
  if (route.mirrorPercent !== undefined || route.mirror_percent !== undefined) {
    faults.push(warning('object.field-range', { path: `${path}.mirrorPercent`, rule: 'deprecated', hint: 'use mirrorPercentage' }))
  }
  if (route.fault?.delay?.percent) faults.push(warning('object.field-range', { path: `${path}.fault.delay.percent`, rule: 'deprecated', hint: 'use percentage' }))
  for (const [index, match] of (route.match ?? []).entries()) {
    const at = `${path}.match[${index}]`
    faults.push(...gatewayFaults(match.gateways, `${at}.gateways`), ...sourceFaults(match, at))
    if (!forGateways(spec)) {
      for (const name of [...Object.keys(match.headers ?? {}), ...Object.keys(match.withoutHeaders ?? {})]) {
        if (name.startsWith('@request.auth.claims')) faults.push(fault('object.field-conflict', { path: `${at}.headers`, value: name, rule: 'routing by claims of a token is for gateways alone' }))
      }
    }
  }
  return faults
}
