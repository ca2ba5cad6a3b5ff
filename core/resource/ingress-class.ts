import { z } from 'zod'
import { KUBERNETES_NETWORKING } from './ingress.ts'
import type { ResourceKind } from './kind.ts'

const ingressClassSpec = z.strictObject({
  controller: z.string().max(250).optional().describe('The controller that serves the class: istio.io/ingress-controller for this mesh.'),
  parameters: z
    .strictObject({ apiGroup: z.string().optional().describe('API group.'), kind: z.string().describe('Kind.'), name: z.string().describe('Name.'), namespace: z.string().optional().describe('Namespace.'), scope: z.enum(['Cluster', 'Namespace']).optional().describe('Cluster or Namespace.') })
    .optional()
    .describe('Settings of the controller.'),
})
export type IngressClassSpec = z.infer<typeof ingressClassSpec>

export const ingressClass: ResourceKind<{ spec?: IngressClassSpec | undefined }> = {
  group: KUBERNETES_NETWORKING,
  versions: ['v1'],
  kind: 'IngressClass',
  plural: 'ingressclasses',
  singular: 'ingressclass',
  shortNames: [],
  categories: [],
  namespaced: false,
  description: 'A class of Ingress objects, and who serves them.',
  fields: z.strictObject({ spec: ingressClassSpec.optional().describe('The class.') }),
  check: () => [],
  secretFields: [],
  printerColumns: [{ name: 'Controller', type: 'string', jsonPath: '.spec.controller' }],
  example: { apiVersion: `${KUBERNETES_NETWORKING}/v1`, kind: 'IngressClass', metadata: { name: 'istio' }, spec: { controller: 'istio.io/ingress-controller' } },
}
