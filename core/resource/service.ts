import { z } from 'zod'
import { judged, portNumber, text, textMap, texts } from './field.ts'
import type { Complaint } from './field.ts'
import { isIp } from './address.ts'
import { domainComplaint } from './host-name.ts'
import type { ResourceKind } from './kind.ts'

const servicePort = z
  .strictObject({
    name: text().optional().describe('A name whose beginning says the protocol: http, grpc-web, tcp-db. Needed when there are several ports.'),
    port: portNumber().describe('The port of the service.'),
    targetPort: z.union([z.int().min(0).max(65535), z.string()]).optional().describe('The port of its workloads, by number or name; the same by default.'),
    protocol: z.enum(['TCP', 'UDP', 'SCTP']).optional().describe('TCP by default.'),
    appProtocol: text().optional().describe('The protocol of the application, before what the name says.'),
    nodePort: z.int().min(0).max(65535).optional().describe('Kept for clients; nothing acts on it.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.name && !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(value.name)) yield { at: ['name'], value: value.name, rule: 'small letters, digits and dashes' }
      // 0 and "" are Go's zero values, and mean the default.
      if (typeof value.targetPort === 'string' && value.targetPort !== '' && !/^(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$/.test(value.targetPort)) yield { at: ['targetPort'], value: value.targetPort, rule: 'a port, or the name of one (at most 15 small letters, digits and dashes)' }
    }),
  )

const whole = () => z.int().min(0)

const serviceSpec = z
  .strictObject({
    selector: textMap().optional().describe('Labels of the workloads that serve it.'),
    ports: z.array(servicePort).optional().describe('Its ports.'),
    type: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']).optional().describe('ClusterIP by default. ExternalName leads to a DNS name.'),
    externalName: text().optional().describe('The DNS name, for type ExternalName.'),
    clusterIP: text().optional().describe('Its address; None for a headless service.'),
    clusterIPs: texts().optional().describe('Its addresses, one of each family.'),
    externalIPs: texts().optional().describe('Further addresses.'),
    loadBalancerIP: text().optional().describe('Kept for clients.'),
    loadBalancerSourceRanges: texts().optional().describe('Kept for clients.'),
    loadBalancerClass: text().optional().describe('Kept for clients.'),
    allocateLoadBalancerNodePorts: z.boolean().optional().describe('Kept for clients.'),
    sessionAffinity: z.enum(['None', 'ClientIP']).optional().describe('Kept for clients; a DestinationRule decides.'),
    sessionAffinityConfig: z.strictObject({ clientIP: z.strictObject({ timeoutSeconds: whole().optional().describe('Seconds.') }).optional().describe('By address.') }).optional().describe('Kept for clients.'),
    externalTrafficPolicy: z.enum(['Cluster', 'Local']).optional().describe('Kept for clients.'),
    internalTrafficPolicy: z.enum(['Cluster', 'Local']).optional().describe('Kept for clients.'),
    trafficDistribution: text().optional().describe('PreferClose keeps traffic near.'),
    healthCheckNodePort: whole().optional().describe('Kept for clients.'),
    publishNotReadyAddresses: z.boolean().optional().describe('Kept for clients.'),
    ipFamilies: texts().optional().describe('IPv4, IPv6.'),
    ipFamilyPolicy: z.enum(['SingleStack', 'PreferDualStack', 'RequireDualStack']).optional().describe('Kept for clients.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      const ports = value.ports ?? []
      if (value.type === 'ExternalName') {
        if (!value.externalName || domainComplaint(value.externalName) !== undefined) yield { at: ['externalName'], value: value.externalName, rule: 'a DNS name', code: value.externalName ? 'object.field-range' : 'object.field-required' }
      } else if (ports.length === 0 && value.clusterIP !== 'None') yield { at: ['ports'], code: 'object.field-required', rule: 'at least one port' }
      const names = new Set<string>()
      const numbers = new Set<string>()
      for (const [index, port] of ports.entries()) {
        if (ports.length > 1 && !port.name) yield { at: ['ports', index, 'name'], code: 'object.field-required', rule: 'a name, where there are several ports' }
        if (port.name && names.has(port.name)) yield { at: ['ports', index, 'name'], value: port.name, code: 'object.field-conflict', rule: 'each name once' }
        const key = `${port.port}/${port.protocol ?? 'TCP'}`
        if (numbers.has(key)) yield { at: ['ports', index, 'port'], value: port.port, code: 'object.field-conflict', rule: 'each port and protocol once' }
        names.add(port.name ?? '')
        numbers.add(key)
      }
      if (value.clusterIP && value.clusterIP !== 'None' && !isIp(value.clusterIP)) yield { at: ['clusterIP'], value: value.clusterIP, rule: 'an IP address, or None' }
    }),
  )
export type ServiceSpec = z.infer<typeof serviceSpec>

export const service: ResourceKind<{ spec: ServiceSpec }> = {
  group: '',
  versions: ['v1'],
  kind: 'Service',
  plural: 'services',
  singular: 'service',
  shortNames: ['svc'],
  categories: ['all'],
  namespaced: true,
  description: 'A name and ports for the workloads that a selector finds.',
  fields: z.strictObject({ spec: serviceSpec.describe('Ports and selector.') }),
  check: () => [],
  secretFields: [],
  printerColumns: [
    { name: 'Type', type: 'string', jsonPath: '.spec.type' },
    { name: 'Cluster-IP', type: 'string', jsonPath: '.spec.clusterIP' },
    { name: 'Port(s)', type: 'string', jsonPath: '.spec.ports[*].port' },
  ],
  example: { apiVersion: 'v1', kind: 'Service', metadata: { name: 'reviews', namespace: 'default' }, spec: { selector: { app: 'reviews' }, ports: [{ name: 'http', port: 8080 }] } },
}
