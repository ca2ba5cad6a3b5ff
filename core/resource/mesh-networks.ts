import { z } from 'zod'
import { atMostOne, judged, text } from './field.ts'
import type { Complaint } from './field.ts'
import { fault } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import { isCidr, isIp } from './address.ts'
import { domainComplaint } from './host-name.ts'
import type { ResourceKind } from './kind.ts'
import type { ResourceObject } from './object.ts'

const REGISTRY = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/

const networkEndpoint = z
  .strictObject({ fromCidr: text().optional().describe('Addresses of the network.'), fromRegistry: text().optional().describe('The cluster whose endpoints are in the network.') })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      yield* atMostOne(value, ['fromCidr', 'fromRegistry'])
      if (value.fromCidr !== undefined && !isIp(value.fromCidr) && !isCidr(value.fromCidr)) yield { at: ['fromCidr'], value: value.fromCidr, rule: 'an IP address or a block such as 10.0.0.0/8' }
      if (value.fromRegistry !== undefined && !REGISTRY.test(value.fromRegistry)) yield { at: ['fromRegistry'], value: value.fromRegistry, rule: 'the name of a cluster: letters, digits and dashes' }
    }),
  )

const networkGateway = z
  .strictObject({
    registryServiceName: text().optional().describe('Full name of the gateway’s Service.'),
    address: text().optional().describe('IP address or host name of the gateway.'),
    port: z.int().min(0).max(4294967295).optional().describe('The port, 1..65535.'),
    locality: text().optional().describe('The gateway’s locality.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      yield* atMostOne(value, ['registryServiceName', 'address'])
      if ((value.port ?? 0) < 1 || (value.port ?? 0) > 65535) yield { at: ['port'], value: value.port, rule: '1..65535' }
      const service = value.registryServiceName === undefined ? undefined : domainComplaint(value.registryServiceName)
      if (service !== undefined) yield { at: ['registryServiceName'], value: value.registryServiceName, rule: service }
      const address = value.address === undefined || isIp(value.address) ? undefined : domainComplaint(value.address)
      if (address !== undefined) yield { at: ['address'], value: value.address, rule: `an IP address or a host name: ${address}` }
    }),
  )

const meshNetworksSpec = z.strictObject({
  networks: z
    .record(
      z.string(),
      z.strictObject({
        endpoints: z.array(networkEndpoint).optional().describe('What is in the network.'),
        gateways: z.array(networkGateway).optional().describe('By which it is reached from others.'),
      }),
    )
    .optional()
    .describe('Networks by name.'),
})
export type MeshNetworksSpec = z.infer<typeof meshNetworksSpec>
type MeshNetworks = ResourceObject & { readonly spec?: MeshNetworksSpec | undefined }

const check = (object: MeshNetworks): Fault[] =>
  object.metadata.name === 'default' ? [] : [fault('object.name', { path: 'metadata.name', value: object.metadata.name, rule: 'default: a mesh has one MeshNetworks' })]

export const meshNetworks: ResourceKind<{ spec?: MeshNetworksSpec | undefined }> = {
  group: 'weft.dev',
  versions: ['v1'],
  kind: 'MeshNetworks',
  plural: 'meshnetworks',
  singular: 'meshnetworks',
  shortNames: [],
  categories: ['weft'],
  namespaced: false,
  description: 'The networks of the mesh and the gateways between them, as in Istio’s networks file.',
  fields: z.strictObject({ spec: meshNetworksSpec.optional().describe('The networks.') }),
  check,
  secretFields: [],
  printerColumns: [],
  example: {
    apiVersion: 'weft.dev/v1',
    kind: 'MeshNetworks',
    metadata: { name: 'default' },
    spec: { networks: { n1: { endpoints: [{ fromRegistry: 'cluster1' }], gateways: [{ address: '192.0.2.10', port: 15443 }] } } },
  },
}
