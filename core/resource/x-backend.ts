import { z } from 'zod'
import { backendValidation } from './backend-tls-policy.ts'
import { judged } from './field.ts'
import type { Complaint } from './field.ts'
import { apiGroup, hostName, kindName, namespaceName, objectNameText, routePort } from './gateway-api-reference.ts'
import type { ResourceKind } from './kind.ts'

/** The group of the Gateway API's experimental kinds, which begin with an X. */
export const EXPERIMENTAL_GATEWAY_API = 'gateway.networking.x-k8s.io'

const xBackendSpec = z
  .strictObject({
    type: z.enum(['ExternalHostname']).describe('ExternalHostname: a host outside, found by DNS.'),
    externalHostname: z.strictObject({ hostname: hostName(false).describe('The host.') }).optional().describe('The host, for type ExternalHostname.'),
    port: z.strictObject({ port: routePort().describe('The port.') }).describe('The port at which it is called.'),
    protocol: z.enum(['HTTP', 'HTTP2', 'TCP']).optional().describe('What is spoken; HTTP by default.'),
    tls: z
      .strictObject({
        mode: z.enum(['None', 'ServerOnly', 'ClientAndServer']).optional().describe('Whether TLS is used, and whether a certificate is shown; None by default.'),
        sni: hostName(false).optional().describe('Server name that is asked for.'),
        clientCertificateRef: z.strictObject({ group: apiGroup().optional().describe('API group; core.'), kind: kindName().optional().describe('Kind; Secret.'), name: objectNameText().describe('Name.'), namespace: namespaceName().optional().describe('Namespace.') }).optional().describe('Certificate that is shown.'),
        validation: backendValidation.optional().describe('How its certificate is verified; by the authorities of the proxy’s host by default.'),
      })
      .optional()
      .describe('TLS towards it.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.externalHostname === undefined) yield { at: ['externalHostname'], code: 'object.field-required', rule: 'needed for type ExternalHostname' }
    }),
  )
export type XBackendSpec = z.infer<typeof xBackendSpec>

export const xBackend: ResourceKind<{ spec: XBackendSpec }> = {
  group: EXPERIMENTAL_GATEWAY_API,
  versions: ['v1alpha1'],
  kind: 'XBackend',
  plural: 'xbackends',
  singular: 'xbackend',
  shortNames: ['xbe'],
  categories: ['gateway-api'],
  namespaced: true,
  description: 'A host outside of the mesh, to which routes may lead.',
  fields: z.strictObject({ spec: xBackendSpec.describe('The host.') }),
  check: () => [],
  secretFields: [],
  printerColumns: [],
  example: { apiVersion: `${EXPERIMENTAL_GATEWAY_API}/v1alpha1`, kind: 'XBackend', metadata: { name: 'bank', namespace: 'default' }, spec: { type: 'ExternalHostname', externalHostname: { hostname: 'api.bank.example.com' }, port: { port: 443 }, protocol: 'HTTP', tls: { mode: 'ServerOnly' } } },
}
