import { z } from 'zod'
import { judged } from './field.ts'
import type { Complaint } from './field.ts'
import { hostName, objectNameText } from './gateway-api-reference.ts'
import type { ResourceKind } from './kind.ts'

/** Kubernetes' own API of routes at the edge (kubernetes.io/docs/reference/kubernetes-api/service-resources/ingress-v1). */
export const KUBERNETES_NETWORKING = 'networking.k8s.io'

const backend = z
  .strictObject({
    service: z
      .strictObject({
        name: objectNameText().describe('The Service, in the namespace of the Ingress.'),
        port: z.strictObject({ number: z.int().min(1).max(65535).optional().describe('Its port, by number.'), name: z.string().optional().describe('Its port, by name.') }).optional().describe('Its port.'),
      })
      .optional()
      .describe('A Service.'),
    resource: z.strictObject({ apiGroup: z.string().optional().describe('API group.'), kind: z.string().describe('Kind.'), name: z.string().describe('Name.') }).optional().describe('An object of another kind.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if ((value.service === undefined) === (value.resource === undefined)) yield { at: ['service'], code: 'object.field-required', rule: 'service or resource, one of them' }
    }),
  )
export type IngressBackend = z.infer<typeof backend>

const path = z
  .strictObject({
    path: z.string().optional().describe('The path; any by default.'),
    pathType: z.enum(['Exact', 'Prefix', 'ImplementationSpecific']).describe('How it is compared: Prefix by whole segments.'),
    backend: backend.describe('Where requests go.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.pathType !== 'ImplementationSpecific' && !value.path?.startsWith('/')) yield { at: ['path'], value: value.path, rule: 'a path that begins with /' }
    }),
  )

const ingressSpec = z.strictObject({
  ingressClassName: objectNameText().optional().describe('The class: an IngressClass of the controller istio.io/ingress-controller.'),
  defaultBackend: backend.optional().describe('Where requests go that no rule names.'),
  tls: z
    .array(z.strictObject({ hosts: z.array(z.string()).optional().describe('Hosts; all by default.'), secretName: z.string().optional().describe('Secret with certificate and key, in the namespace of the gateway.') }))
    .optional()
    .describe('Certificates.'),
  rules: z
    .array(
      z.strictObject({
        host: hostName(true).optional().describe('The host; all by default.'),
        http: z.strictObject({ paths: z.array(path).min(1).describe('Paths, the most specific first.') }).optional().describe('Routes of the host.'),
      }),
    )
    .optional()
    .describe('Routes by host and path.'),
})
export type IngressSpec = z.infer<typeof ingressSpec>

export const ingress: ResourceKind<{ spec?: IngressSpec | undefined }> = {
  group: KUBERNETES_NETWORKING,
  versions: ['v1'],
  kind: 'Ingress',
  plural: 'ingresses',
  singular: 'ingress',
  shortNames: ['ing'],
  categories: [],
  namespaced: true,
  description: 'Routes of HTTP requests from the ingress gateway, by host and path.',
  fields: z.strictObject({ spec: ingressSpec.optional().describe('The routes.') }),
  check: () => [],
  secretFields: [],
  printerColumns: [{ name: 'Class', type: 'string', jsonPath: '.spec.ingressClassName' }],
  example: { apiVersion: `${KUBERNETES_NETWORKING}/v1`, kind: 'Ingress', metadata: { name: 'shop', namespace: 'default' }, spec: { ingressClassName: 'istio', rules: [{ host: 'shop.example.com', http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'order-service', port: { number: 8080 } } } }] } }] } },
}
