import { z } from 'zod'
import { judged, regexComplaint } from './field.ts'
import type { Complaint } from './field.ts'
import { eachOnce, grpcFilters, headerName } from './gateway-api-filter.ts'
import { backendComplaints, backendFields, GATEWAY_API, hostName, parentReferences, sectionName, weight } from './gateway-api-reference.ts'
import { sessionPersistence } from './http-route.ts'
import type { ResourceKind } from './kind.ts'

const how = z.enum(['Exact', 'RegularExpression']).optional().describe('How it is compared; Exact by default.')

const methodMatch = z
  .strictObject({ type: how, service: z.string().max(1024).optional().describe('The service, with its package; any by default.'), method: z.string().max(1024).optional().describe('The method; any by default.') })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (!value.service && !value.method) yield { code: 'object.field-required', rule: 'a service, a method, or both' }
      if ((value.type ?? 'Exact') === 'Exact') {
        if (value.service && !/^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/.test(value.service)) yield { at: ['service'], value: value.service, rule: 'the name of a protobuf service' }
        if (value.method && !/^[A-Za-z_]\w*$/.test(value.method)) yield { at: ['method'], value: value.method, rule: 'the name of a method' }
      } else {
        for (const field of ['service', 'method'] as const) {
          const pattern = value[field]
          const complaint = pattern ? regexComplaint(pattern) : undefined
          if (complaint !== undefined) yield { at: [field], value: pattern, rule: complaint }
        }
      }
    }),
  )

const match = z.strictObject({
  method: methodMatch.optional().describe('The service and method.'),
  headers: z
    .array(z.strictObject({ type: how, name: headerName().describe('Name.'), value: z.string().min(1).max(4096).describe('Value, or a regular expression for it.') }))
    .max(16)
    .superRefine(judged((list) => eachOnce(list.map((one) => one.name.toLowerCase()))))
    .optional()
    .describe('Headers, all of which must match.'),
})

const rule = z.strictObject({
  name: sectionName().optional().describe('A name, unique within the route.'),
  matches: z.array(match).max(64).optional().describe('Conditions, one of which must hold; every call by default.'),
  filters: grpcFilters,
  backendRefs: z.array(z.strictObject({ ...backendFields, weight, filters: grpcFilters }).superRefine(judged(backendComplaints))).max(16).optional().describe('Where calls go, by weight. None: they are answered with UNAVAILABLE.'),
  sessionPersistence: sessionPersistence.optional().describe('Keeps a client at one endpoint.'),
})

const grpcRouteSpec = z.strictObject({
  parentRefs: parentReferences,
  hostnames: z.array(hostName(true)).max(16).optional().describe('Hosts for which the route counts; all of its listeners by default.'),
  useDefaultGateways: z.enum(['All', 'None']).optional().describe('Whether it is attached to default gateways.'),
  rules: z
    .array(rule)
    .max(16)
    .superRefine(judged(function* (list): Iterable<Complaint> {
      yield* eachOnce(list.flatMap((one) => (one.name === undefined ? [] : [one.name])))
      if (list.reduce((sum, one) => sum + (one.matches?.length ?? 0), 0) > 128) yield { rule: 'at most 128 matches in all' }
    }))
    .optional()
    .describe('Rules; among those that match, the most specific wins.'),
})
export type GrpcRouteSpec = z.infer<typeof grpcRouteSpec>

export const grpcRouteKind: ResourceKind<{ spec?: GrpcRouteSpec | undefined }> = {
  group: GATEWAY_API,
  versions: ['v1', 'v1alpha2'],
  kind: 'GRPCRoute',
  plural: 'grpcroutes',
  singular: 'grpcroute',
  shortNames: [],
  categories: ['gateway-api'],
  namespaced: true,
  description: 'Routes of gRPC calls from a Gateway, or from callers of a Service.',
  fields: z.strictObject({ spec: grpcRouteSpec.optional().describe('The routes.') }),
  check: () => [],
  secretFields: [],
  printerColumns: [{ name: 'Hostnames', type: 'string', jsonPath: '.spec.hostnames' }],
  example: {
    apiVersion: `${GATEWAY_API}/v1`,
    kind: 'GRPCRoute',
    metadata: { name: 'ledger', namespace: 'default' },
    spec: { parentRefs: [{ name: 'edge' }], rules: [{ matches: [{ method: { service: 'ledger.v1.Ledger', method: 'Post' } }], backendRefs: [{ name: 'ledger', port: 9090 }] }] },
  },
}
