import { z } from 'zod'
import { judged, textMap } from './field.ts'
import type { Complaint } from './field.ts'
import { isIp } from './address.ts'
import { eachOnce } from './gateway-api-filter.ts'
import { apiGroup, GATEWAY_API, hostName, kindName, namespaceName, objectNameText, routePort, sectionName } from './gateway-api-reference.ts'
import type { ResourceKind } from './kind.ts'

const reference = z.strictObject({ group: apiGroup().optional().describe('API group; core by default.'), kind: kindName().optional().describe('Kind; Secret by default.'), name: objectNameText().describe('Name.'), namespace: namespaceName().optional().describe('Namespace; the Gateway’s by default. Another needs a ReferenceGrant there.') })
const labels = z.strictObject({
  matchLabels: textMap().optional().describe('Labels that must be there.'),
  matchExpressions: z
    .array(z.strictObject({ key: z.string().describe('The label.'), operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']).describe('What must hold.'), values: z.array(z.string()).optional().describe('Values, for In and NotIn.') }))
    .optional()
    .describe('Conditions that must hold.'),
})

const frontendValidation = z.strictObject({
  caCertificateRefs: z.array(z.strictObject({ group: apiGroup().describe('API group; core.'), kind: kindName().describe('Kind: ConfigMap, with ca.crt.'), name: objectNameText().describe('Name.'), namespace: namespaceName().optional().describe('Namespace; the Gateway’s by default.') })).min(1).max(8).describe('Authorities that are believed.'),
  mode: z.enum(['AllowValidOnly', 'AllowInsecureFallback']).optional().describe('Whether a client must show a certificate; AllowValidOnly by default.'),
})

const listenerTls = z
  .strictObject({
    mode: z.enum(['Terminate', 'Passthrough']).optional().describe('Whether TLS ends here; Terminate by default.'),
    certificateRefs: z.array(reference).max(64).optional().describe('Secrets with certificate and key.'),
    frontendValidation: frontendValidation.optional().describe('How certificates of clients are verified.'),
    options: textMap().optional().describe('Further settings.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if ((value.mode ?? 'Terminate') === 'Terminate' && !value.certificateRefs?.length && Object.keys(value.options ?? {}).length === 0) yield { at: ['certificateRefs'], code: 'object.field-required', rule: 'certificateRefs or options, for mode Terminate' }
    }),
  )

export const listener = z
  .strictObject({
    name: sectionName().describe('A name, unique within the Gateway.'),
    hostname: hostName(true).optional().describe('The host that is served; all by default.'),
    port: routePort().describe('The port.'),
    protocol: z
      .string()
      .min(1)
      .max(255)
      .regex(/^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]+$/, 'HTTP, HTTPS, TLS, TCP, UDP, or DOMAIN/NAME')
      .describe('HTTP, HTTPS, TLS, TCP or UDP.'),
    tls: listenerTls.optional().describe('How TLS is served.'),
    allowedRoutes: z
      .strictObject({
        namespaces: z
          .strictObject({ from: z.enum(['All', 'Selector', 'Same', 'None']).optional().describe('Which; Same by default.'), selector: labels.optional().describe('Namespaces by label, for Selector.') })
          .optional()
          .describe('Namespaces whose routes may be attached.'),
        kinds: z.array(z.strictObject({ group: apiGroup().optional().describe('API group; gateway.networking.k8s.io by default.'), kind: kindName().describe('Kind.') })).max(8).optional().describe('Kinds of routes that may be attached; those that suit the protocol by default.'),
      })
      .optional()
      .describe('Routes that may be attached.'),
  })
  .superRefine(judged(listenerComplaints))
export type GatewayListener = z.infer<typeof listener>

function* listenerComplaints(value: { hostname?: string | undefined; protocol: string; tls?: { mode?: string | undefined } | undefined }): Iterable<Complaint> {
  const { protocol } = value
  if (value.tls !== undefined && ['HTTP', 'TCP', 'UDP'].includes(protocol)) yield { at: ['tls'], code: 'object.field-conflict', rule: `not for protocol ${protocol}` }
  if (value.hostname !== undefined && ['TCP', 'UDP'].includes(protocol)) yield { at: ['hostname'], code: 'object.field-conflict', rule: `not for protocol ${protocol}` }
  if (protocol === 'HTTPS' && (value.tls?.mode ?? 'Terminate') !== 'Terminate') yield { at: ['tls', 'mode'], value: value.tls?.mode, rule: 'Terminate, for protocol HTTPS' }
  if (protocol === 'TLS' && value.tls === undefined) yield { at: ['tls'], code: 'object.field-required', rule: 'needed for protocol TLS' }
}

export function* listenerListComplaints(list: readonly GatewayListener[]): Iterable<Complaint> {
  yield* eachOnce(list.map((one) => one.name))
  const seen = new Set<string>()
  for (const [index, one] of list.entries()) {
    const place = JSON.stringify([one.port, one.protocol, one.hostname ?? ''])
    if (seen.has(place)) yield { at: [index], code: 'object.field-conflict', rule: 'port, protocol and hostname together once' }
    seen.add(place)
  }
}

const address = z
  .strictObject({ type: z.string().min(1).max(253).optional().describe('IPAddress (the default), Hostname, or DOMAIN/NAME.'), value: z.string().max(253).optional().describe('The address; any by default.') })
  .superRefine(
    judged(function* (one): Iterable<Complaint> {
      const type = one.type ?? 'IPAddress'
      if (type === 'IPAddress' && one.value !== undefined && !isIp(one.value)) yield { at: ['value'], value: one.value, rule: 'an IP address' }
      if (type === 'Hostname' && one.value !== undefined && !/^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(one.value)) yield { at: ['value'], value: one.value, rule: 'a host name' }
    }),
  )

const gatewayApiSpec = z.strictObject({
  gatewayClassName: objectNameText().describe('The class: istio for gateways at the edge.'),
  listeners: z.array(listener).max(64).superRefine(judged(listenerListComplaints)).optional().describe('What the gateway listens on.'),
  addresses: z
    .array(address)
    .max(16)
    .superRefine(judged(function* (list): Iterable<Complaint> {
      const seen = new Set<string>()
      for (const [index, one] of list.entries()) {
        const place = JSON.stringify([one.type ?? 'IPAddress', one.value ?? ''])
        if (one.value !== undefined && seen.has(place)) yield { at: [index], value: one.value, code: 'object.field-conflict', rule: 'each address once' }
        seen.add(place)
      }
    }))
    .optional()
    .describe('Addresses, or Services, by which it is reached.'),
  infrastructure: z
    .strictObject({
      labels: z.record(z.string().max(253), z.string().max(63)).optional().describe('Labels of what is made for it.'),
      annotations: z.record(z.string().max(253), z.string().max(4096)).optional().describe('Annotations of what is made for it.'),
      parametersRef: z.strictObject({ group: apiGroup().describe('API group.'), kind: kindName().describe('Kind.'), name: objectNameText().describe('Name.') }).optional().describe('Settings of what is made for it.'),
    })
    .optional()
    .describe('What is made for it.'),
  allowedListeners: z
    .strictObject({ namespaces: z.strictObject({ from: z.enum(['All', 'Selector', 'Same', 'None']).optional().describe('Which; None by default.'), selector: labels.optional().describe('Namespaces by label, for Selector.') }).optional().describe('Namespaces.') })
    .optional()
    .describe('ListenerSets that may be attached.'),
  defaultScope: z.enum(['All', 'None']).optional().describe('Whether routes without parents are attached.'),
  tls: z
    .strictObject({
      backend: z.strictObject({ clientCertificateRef: reference.optional().describe('Certificate that backends are shown.') }).optional().describe('TLS to backends.'),
      frontend: z
        .strictObject({
          default: z.strictObject({ validation: frontendValidation.optional().describe('How certificates of clients are verified.') }).describe('For every port.'),
          perPort: z.array(z.strictObject({ port: routePort().describe('The port.'), tls: z.strictObject({ validation: frontendValidation.optional().describe('How certificates of clients are verified.') }).describe('Its settings.') })).max(64).optional().describe('For one port.'),
        })
        .optional()
        .describe('TLS from clients.'),
    })
    .optional()
    .describe('TLS of all listeners.'),
})
export type GatewayApiSpec = z.infer<typeof gatewayApiSpec>

export const gatewayApiGateway: ResourceKind<{ spec: GatewayApiSpec }> = {
  group: GATEWAY_API,
  versions: ['v1', 'v1beta1'],
  kind: 'Gateway',
  plural: 'gateways',
  singular: 'gateway',
  shortNames: ['gtw'],
  categories: ['gateway-api'],
  namespaced: true,
  description: 'Listeners at the edge of the mesh, to which routes are attached.',
  fields: z.strictObject({ spec: gatewayApiSpec.describe('The listeners.') }),
  check: () => [],
  secretFields: [],
  printerColumns: [{ name: 'Class', type: 'string', jsonPath: '.spec.gatewayClassName' }],
  example: {
    apiVersion: `${GATEWAY_API}/v1`,
    kind: 'Gateway',
    metadata: { name: 'edge', namespace: 'default' },
    spec: { gatewayClassName: 'istio', listeners: [{ name: 'http', port: 80, protocol: 'HTTP', hostname: '*.example.com', allowedRoutes: { namespaces: { from: 'All' } } }] },
  },
}
