import { z } from 'zod'
import { judged, text, textMap, texts } from './field.ts'
import type { Complaint } from './field.ts'
import { fault, warning } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import { isIp } from './address.ts'
import { isDnsLabel, wildcardDomainComplaint } from './host-name.ts'
import type { ResourceKind } from './kind.ts'
import type { ResourceObject } from './object.ts'
import { isHttpProtocol, isTlsProtocol, PROTOCOLS, readProtocol } from './protocol.ts'
import { serverTls, serverTlsWarnings } from './server-tls.ts'
import type { ServerTls } from './server-tls.ts'

const gatewayPort = z
  .strictObject({
    number: z.int().describe('The port to listen on.'),
    protocol: text().describe(`What it speaks: ${PROTOCOLS.slice(0, 8).join(', ')}.`),
    name: text().describe('A name, unique within the gateway.'),
    targetPort: z.int().min(0).max(65535).optional().describe('Not in use.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.name === '') yield { at: ['name'], code: 'object.field-required', rule: 'the name of the port' }
      if (value.number < 0 || value.number > 65535) yield { at: ['number'], value: value.number, rule: '1..65535' }
      if (readProtocol(value.protocol) === 'UNSUPPORTED') yield { at: ['protocol'], value: value.protocol, rule: `one of ${PROTOCOLS.join(', ')}` }
    }),
  )
type GatewayPort = z.infer<typeof gatewayPort>

const gatewayServer = z
  .strictObject({
    port: gatewayPort.describe('The port on which the gateway listens.'),
    bind: text().optional().describe('The IP address or Unix socket to listen on; all addresses by default.'),
    hosts: texts().describe('Hosts that are served, [NAMESPACE/]HOST, with * for many.'),
    tls: serverTls.optional().describe('How TLS is served. Needed for HTTPS and TLS.'),
    defaultEndpoint: text().optional().describe('Not in use.'),
    name: text().optional().describe('A name, unique within the gateway.'),
  })
  .superRefine(judged(serverComplaints))
export type GatewayServer = z.infer<typeof gatewayServer>

function* serverComplaints(server: { port: GatewayPort; bind?: string | undefined; hosts: string[]; tls?: Pick<ServerTls, 'mode' | 'caCertificates' | 'privateKey' | 'serverCertificate'> | undefined }): Iterable<Complaint> {
  const unix = server.bind?.startsWith('unix://') === true
  if (unix && server.port.number !== 0) yield { at: ['port', 'number'], value: server.port.number, rule: '0 for a Unix socket' }
  if (!unix && server.port.number === 0) yield { at: ['port', 'number'], value: 0, rule: '1..65535' }
  if (server.bind && !unix && !isIp(server.bind)) yield { at: ['bind'], value: server.bind, rule: 'an IP address, or unix:// and a path' }
  if (server.hosts.length === 0) yield { at: ['hosts'], code: 'object.field-required', rule: 'at least one host' }
  for (const [index, host] of server.hosts.entries()) {
    const cut = host.indexOf('/')
    const namespace = cut < 0 ? undefined : host.slice(0, cut)
    const name = host.slice(cut + 1)
    if (namespace !== undefined && !['*', '.', '~'].includes(namespace) && !isDnsLabel(namespace)) yield { at: ['hosts', index], value: host, rule: 'a namespace, * or . before the slash' }
    const complaint = isIp(name) ? undefined : /^\*[^.]/.test(name) ? 'a wildcard stands for a whole first label, as in *.example.com' : wildcardDomainComplaint(name)
    if (complaint !== undefined) yield { at: ['hosts', index], value: host, rule: complaint }
    else if (name !== '*' && !name.includes('.') && !isIp(name)) yield { at: ['hosts', index], value: host, rule: 'a full host name', hint: `${name}.NAMESPACE.svc.cluster.local` }
  }
  const protocol = readProtocol(server.port.protocol)
  if (isTlsProtocol(protocol)) {
    if (server.tls === undefined) yield { at: ['tls'], code: 'object.field-required', rule: `needed for ${protocol}` }
  } else if (server.tls !== undefined) {
    const { mode = 'PASSTHROUGH', caCertificates, privateKey, serverCertificate } = server.tls
    if (!isHttpProtocol(protocol)) yield { at: ['tls'], code: 'object.field-conflict', rule: 'only where the protocol is HTTPS or TLS' }
    else if (!['PASSTHROUGH', 'AUTO_PASSTHROUGH'].includes(mode) || caCertificates || privateKey || serverCertificate) yield { at: ['tls', 'mode'], value: mode, code: 'object.field-conflict', rule: 'plain HTTP takes httpsRedirect alone' }
  }
}

const gatewaySpec = z.strictObject({
  servers: z.array(gatewayServer).min(1).describe('What the gateway serves.'),
  selector: textMap().optional().describe('Labels of the gateway workloads it is for; all by default.'),
})
export type GatewaySpec = z.infer<typeof gatewaySpec>
type Gateway = ResourceObject & { readonly spec: GatewaySpec }

function check(object: Gateway): Fault[] {
  const faults: Fault[] = []
  const names = new Set<string>()
  const made = object.metadata.annotations?.['internal.istio.io/gateway-semantics'] === 'gateway'
  for (const [index, server] of object.spec.servers.entries()) {
    const path = `spec.servers[${index}]`
    if (names.has(server.port.name)) faults.push(fault('object.field-conflict', { path: `${path}.port.name`, value: server.port.name, rule: 'each name once' }))
    names.add(server.port.name)
    for (const [at, host] of server.hosts.entries()) {
      // Istio writes ~ into the Gateways that it makes of Gateway API objects to which no route is attached.
      if (host.startsWith('~/') && !made) faults.push(fault('object.field-range', { path: `${path}.hosts[${at}]`, value: host, rule: 'a namespace, * or . before the slash' }))
    }
    if (server.tls?.httpsRedirect === true && !isHttpProtocol(readProtocol(server.port.protocol))) {
      faults.push(warning('object.field-inert', { path: `${path}.tls.httpsRedirect`, rule: 'only plain HTTP is redirected' }))
    }
    if (server.tls !== undefined) faults.push(...serverTlsWarnings(server.tls, `${path}.tls`))
  }
  return faults
}

export const gateway: ResourceKind<{ spec: GatewaySpec }> = {
  group: 'networking.istio.io',
  versions: ['v1', 'v1beta1', 'v1alpha3'],
  kind: 'Gateway',
  plural: 'gateways',
  singular: 'gateway',
  shortNames: ['gw'],
  categories: ['istio-io', 'networking-istio-io'],
  namespaced: true,
  description: 'Ports, hosts and certificates that a gateway at the edge serves.',
  fields: z.strictObject({ spec: gatewaySpec.describe('The servers.') }),
  check,
  secretFields: [],
  printerColumns: [],
  example: {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    metadata: { name: 'edge', namespace: 'default' },
    spec: { selector: { istio: 'ingressgateway' }, servers: [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['shop.example.com'] }] },
  },
}
