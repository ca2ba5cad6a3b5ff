import { z } from 'zod'
import { apiGroup, GATEWAY_API, kindName, namespaceName, objectNameText } from './gateway-api-reference.ts'
import type { ResourceKind } from './kind.ts'

const gatewayClassSpec = z.strictObject({
  controllerName: z
    .string()
    .min(1)
    .max(253)
    .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/, 'DOMAIN/PATH')
    .describe('The controller that serves gateways of the class, such as istio.io/gateway-controller.'),
  parametersRef: z
    .strictObject({ group: apiGroup().describe('API group.'), kind: kindName().describe('Kind.'), name: objectNameText().describe('Name.'), namespace: namespaceName().optional().describe('Namespace; none for kinds that have none.') })
    .optional()
    .describe('Settings of the controller.'),
  description: z.string().max(64).optional().describe('What the class is for.'),
})
export type GatewayClassSpec = z.infer<typeof gatewayClassSpec>

export const gatewayClass: ResourceKind<{ spec: GatewayClassSpec }> = {
  group: GATEWAY_API,
  versions: ['v1', 'v1beta1'],
  kind: 'GatewayClass',
  plural: 'gatewayclasses',
  singular: 'gatewayclass',
  shortNames: ['gc'],
  categories: ['gateway-api'],
  namespaced: false,
  description: 'A class of Gateways, and who serves them.',
  fields: z.strictObject({ spec: gatewayClassSpec.describe('The class.') }),
  check: () => [],
  secretFields: [],
  printerColumns: [{ name: 'Controller', type: 'string', jsonPath: '.spec.controllerName' }],
  example: { apiVersion: `${GATEWAY_API}/v1`, kind: 'GatewayClass', metadata: { name: 'weft' }, spec: { controllerName: 'istio.io/gateway-controller' } },
}
