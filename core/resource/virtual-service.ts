import { z } from 'zod'
import { int32, judged, portNumber, text, textMap, texts } from './field.ts'
import type { Complaint } from './field.ts'
import { destination, destinationComplaints } from './destination.ts'
import { httpRoute } from './virtual-service-http.ts'
import { isCidr, isIp } from './address.ts'
import { wildcardDomainComplaint } from './host-name.ts'
import type { ResourceKind } from './kind.ts'
import type { ResourceObject } from './object.ts'
import { virtualServiceFaults } from './virtual-service-check.ts'

const routeDestination = z
  .strictObject({
    destination: destination.describe('The service that takes the connections.'),
    weight: int32().optional().describe('The share of connections, relative to the sum of all weights.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      yield* destinationComplaints(value.destination, ['destination'])
      if ((value.weight ?? 0) < 0) yield { at: ['weight'], code: 'virtual-service.weight', value: value.weight, rule: '0 or more' }
    }),
  )
export type RouteDestination = z.infer<typeof routeDestination>

const layer4 = {
  destinationSubnets: texts().optional().describe('Addresses or blocks that the connection is for.'),
  port: portNumber().optional().describe('The port that the connection is for.'),
  sourceLabels: textMap().optional().describe('Labels of the workload that calls.'),
  gateways: texts().optional().describe('Gateways (or mesh) for which the match counts.'),
  sourceNamespace: text().optional().describe('The namespace of the workload that calls.'),
}

function* subnetComplaints(subnets: readonly string[] | undefined): Iterable<Complaint> {
  for (const [index, subnet] of (subnets ?? []).entries()) {
    if (!isIp(subnet) && !isCidr(subnet)) yield { at: ['destinationSubnets', index], value: subnet, rule: 'an IP address or a block such as 10.0.0.0/8' }
  }
}

function* routeListComplaints(value: { route?: readonly RouteDestination[] | undefined }): Iterable<Complaint> {
  const routes = value.route ?? []
  if (routes.length === 0) yield { at: ['route'], code: 'object.field-required', rule: 'at least one destination' }
  if (routes.length > 1 && routes.every((one) => (one.weight ?? 0) === 0)) yield { at: ['route'], code: 'virtual-service.weight', rule: 'weights whose sum is not 0' }
}

const routeList = z.array(routeDestination).optional().describe('Where connections go, by weight.')

const tlsMatch = z
  .strictObject({ sniHosts: texts().describe('Server names; a prefix wildcard such as *.example.com may be used.'), ...layer4 })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.sniHosts.length === 0) yield { at: ['sniHosts'], code: 'object.field-required', rule: 'at least one server name' }
      for (const [index, host] of value.sniHosts.entries()) {
        const complaint = isIp(host) ? undefined : wildcardDomainComplaint(host)
        if (complaint !== undefined) yield { at: ['sniHosts', index], value: host, rule: complaint }
      }
      yield* subnetComplaints(value.destinationSubnets)
    }),
  )

const tlsRoute = z
  .strictObject({ match: z.array(tlsMatch).describe('Conditions, one of which must hold.'), route: routeList })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.match.length === 0) yield { at: ['match'], code: 'object.field-required', rule: 'at least one match' }
      yield* routeListComplaints(value)
    }),
  )

const tcpMatch = z
  .strictObject({ ...layer4, sourceSubnet: text().optional().describe('Not in use.') })
  .superRefine(judged((value) => subnetComplaints(value.destinationSubnets)))

const tcpRoute = z
  .strictObject({ match: z.array(tcpMatch).optional().describe('Conditions, one of which must hold. None: every connection.'), route: routeList })
  .superRefine(judged(routeListComplaints))

const virtualServiceSpec = z.strictObject({
  hosts: texts().optional().describe('Hosts for which the routes count. Short names are completed with the object’s namespace. None: a delegate.'),
  gateways: texts().optional().describe('Gateways on which the routes count, [NAMESPACE/]NAME; mesh stands for all sidecars and is the default.'),
  http: z.array(httpRoute).optional().describe('Routes for HTTP, the first that matches wins.'),
  tls: z.array(tlsRoute).optional().describe('Routes for TLS that is passed through, by server name.'),
  tcp: z.array(tcpRoute).optional().describe('Routes for connections that are neither HTTP nor TLS.'),
  exportTo: texts().optional().describe('Namespaces that see the object: . its own, * all (the default).'),
})
export type VirtualServiceSpec = z.infer<typeof virtualServiceSpec>
export type VirtualService = ResourceObject & { readonly spec: VirtualServiceSpec }

export const virtualService: ResourceKind<{ spec: VirtualServiceSpec }> = {
  group: 'networking.istio.io',
  versions: ['v1', 'v1beta1', 'v1alpha3'],
  kind: 'VirtualService',
  plural: 'virtualservices',
  singular: 'virtualservice',
  shortNames: ['vs'],
  categories: ['istio-io', 'networking-istio-io'],
  namespaced: true,
  description: 'Routes by which requests to a set of hosts find their services.',
  fields: z.strictObject({ spec: virtualServiceSpec.describe('The routes.') }),
  check: virtualServiceFaults,
  secretFields: [],
  printerColumns: [
    { name: 'Gateways', type: 'string', jsonPath: '.spec.gateways' },
    { name: 'Hosts', type: 'string', jsonPath: '.spec.hosts' },
  ],
  example: {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'reviews', namespace: 'default' },
    spec: {
      hosts: ['reviews'],
      http: [
        {
          route: [
            { destination: { host: 'reviews', subset: 'v1' }, weight: 90 },
            { destination: { host: 'reviews', subset: 'v2' }, weight: 10 },
          ],
        },
      ],
    },
  },
}
