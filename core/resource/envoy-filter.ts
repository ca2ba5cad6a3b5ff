import { z } from 'zod'
import { int32, judged, text, uint32 } from './field.ts'
import type { Complaint } from './field.ts'
import { regexComplaint } from './field.ts'
import { warning } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import type { ResourceKind } from './kind.ts'
import type { ResourceObject } from './object.ts'
import { labelSelector, targetReference } from './selector.ts'

const filterMatch = z
  .strictObject({
    name: text().optional().describe('The filter’s name.'),
    subFilter: z.strictObject({ name: text().optional().describe('The name of an HTTP filter.') }).optional().describe('A filter within the HTTP connection manager.'),
  })
  .describe('A network filter of the chain.')

const listenerMatch = z.strictObject({
  portNumber: uint32().optional().describe('The service port or gateway port; for sidecars inbound, the workload’s port.'),
  portName: text().optional().describe('Not in use.'),
  filterChain: z
    .strictObject({
      name: text().optional().describe('The chain’s name.'),
      sni: text().optional().describe('The server name that the chain matches.'),
      transportProtocol: text().optional().describe('What the chain’s inspectors found: raw_buffer or tls.'),
      applicationProtocols: text().optional().describe('ALPN names that the chain matches, with commas between.'),
      filter: filterMatch.optional(),
      destinationPort: uint32().optional().describe('The destination port that the chain matches.'),
    })
    .optional()
    .describe('A filter chain of the listener.'),
  listenerFilter: text().optional().describe('A listener filter.'),
  name: text().optional().describe('The listener’s name.'),
})

const routeConfigurationMatch = z.strictObject({
  portNumber: uint32().optional().describe('The service port or gateway port.'),
  portName: text().optional().describe('The port’s name, for gateways.'),
  gateway: text().optional().describe('The Gateway, NAMESPACE/NAME.'),
  vhost: z
    .strictObject({
      name: text().optional().describe('The virtual host’s name, HOST:PORT.'),
      domainName: text().optional().describe('A domain of the virtual host.'),
      route: z
        .strictObject({ name: text().optional().describe('The route’s name.'), action: z.enum(['ANY', 'ROUTE', 'REDIRECT', 'DIRECT_RESPONSE']).optional().describe('What the route does.') })
        .optional()
        .describe('A route of the virtual host.'),
    })
    .optional()
    .describe('A virtual host.'),
  name: text().optional().describe('The name of the route configuration.'),
})

const clusterMatch = z.strictObject({
  portNumber: uint32().optional().describe('The service port.'),
  service: text().optional().describe('The service’s full host name.'),
  subset: text().optional().describe('The subset.'),
  name: text().optional().describe('The cluster’s name; beside it the others do not count.'),
})

const waypointMatch = z.strictObject({
  portNumber: z.int().min(1).max(65535).optional().describe('The service port.'),
  filter: filterMatch.optional(),
  route: z.strictObject({ name: text().optional().describe('The route’s name.') }).optional().describe('A route.'),
})

const OBJECTS = ['listener', 'routeConfiguration', 'cluster', 'waypoint'] as const

const objectMatch = z
  .strictObject({
    context: z.enum(['ANY', 'SIDECAR_INBOUND', 'SIDECAR_OUTBOUND', 'GATEWAY', 'WAYPOINT']).optional().describe('The proxies and the direction; any by default.'),
    proxy: z
      .strictObject({ proxyVersion: text().optional().describe('A regular expression for the proxy’s version.'), metadata: z.record(z.string(), z.string()).optional().describe('Metadata that the proxy must have sent.') })
      .optional()
      .describe('Properties of the proxy.'),
    listener: listenerMatch.optional().describe('A listener.'),
    routeConfiguration: routeConfigurationMatch.optional().describe('A route configuration.'),
    cluster: clusterMatch.optional().describe('A cluster.'),
    waypoint: waypointMatch.optional().describe('What a waypoint makes of a service.'),
  })
  .superRefine(
    judged(function* (match): Iterable<Complaint> {
      const given = OBJECTS.filter((name) => match[name] !== undefined)
      if (given.length > 1) yield { at: [given[1] ?? ''], code: 'object.field-conflict', rule: `only one of ${OBJECTS.join(', ')} may be set` }
      if ((match.context === 'WAYPOINT') !== (match.waypoint !== undefined)) yield { at: match.waypoint === undefined ? ['context'] : ['waypoint'], code: 'object.field-conflict', rule: 'waypoint and context WAYPOINT go together' }
      const complaint = match.proxy?.proxyVersion ? regexComplaint(match.proxy.proxyVersion) : undefined
      if (complaint !== undefined) yield { at: ['proxy', 'proxyVersion'], value: match.proxy?.proxyVersion, rule: complaint }
    }),
  )

const TARGETS = ['INVALID', 'LISTENER', 'FILTER_CHAIN', 'NETWORK_FILTER', 'HTTP_FILTER', 'ROUTE_CONFIGURATION', 'VIRTUAL_HOST', 'HTTP_ROUTE', 'CLUSTER', 'EXTENSION_CONFIG', 'BOOTSTRAP', 'LISTENER_FILTER'] as const
const LISTENER_CLASS: readonly string[] = ['LISTENER', 'FILTER_CHAIN', 'NETWORK_FILTER', 'HTTP_FILTER', 'LISTENER_FILTER']
const ROUTE_CLASS: readonly string[] = ['ROUTE_CONFIGURATION', 'VIRTUAL_HOST', 'HTTP_ROUTE']

const envoyConfigPatch = z
  .strictObject({
    applyTo: z.enum(TARGETS).optional().describe('The kind of thing that is patched.'),
    match: objectMatch.optional().describe('Which of them; all by default.'),
    patch: z
      .strictObject({
        operation: z.enum(['INVALID', 'MERGE', 'ADD', 'REMOVE', 'INSERT_BEFORE', 'INSERT_AFTER', 'INSERT_FIRST', 'REPLACE', 'MERGE_AND_REPLACE_LIST']).optional().describe('What is done with the value.'),
        value: z.record(z.string(), z.unknown()).optional().describe('Envoy’s configuration, as JSON of its protobuf message.'),
        filterClass: z.enum(['UNSPECIFIED', 'AUTHN', 'AUTHZ', 'STATS']).optional().describe('Where an added filter stands: after authentication, authorization or metrics.'),
      })
      .optional()
      .describe('The change.'),
  })
  .superRefine(judged(patchComplaints))
export type EnvoyConfigPatch = z.infer<typeof envoyConfigPatch>

type ObjectMatch = z.infer<typeof objectMatch>
type Patch = { applyTo?: string | undefined; match?: ObjectMatch | undefined; patch?: { operation?: string | undefined; value?: Record<string, unknown> | undefined } | undefined }

function* patchComplaints(one: Patch): Iterable<Complaint> {
  if (one.applyTo === undefined || one.applyTo === 'INVALID') yield { at: ['applyTo'], code: 'object.field-required', rule: `one of ${TARGETS.slice(1).join(', ')}` }
  // Waypoints are Istio's ambient mode: its webhook looks no further at such a patch.
  if (one.match?.context === 'WAYPOINT') return
  if (one.patch === undefined) yield { at: ['patch'], code: 'object.field-required', rule: 'the change' }
  else if (one.patch.operation === undefined || one.patch.operation === 'INVALID') yield { at: ['patch', 'operation'], code: 'object.field-required', rule: 'an operation' }
  else if (one.patch.operation !== 'REMOVE' && one.patch.value === undefined) yield { at: ['patch', 'value'], code: 'object.field-required', rule: 'a value, but for REMOVE' }
  const object = OBJECTS.find((name) => one.match?.[name] !== undefined)
  const wanted = LISTENER_CLASS.includes(one.applyTo ?? '') ? 'listener' : ROUTE_CLASS.includes(one.applyTo ?? '') ? 'routeConfiguration' : one.applyTo === 'CLUSTER' ? 'cluster' : undefined
  // Istio leaves LISTENER_FILTER out of this rule.
  if (object !== undefined && wanted !== undefined && object !== wanted && one.applyTo !== 'LISTENER_FILTER') yield { at: ['match', object], code: 'object.field-conflict', rule: `${one.applyTo} is matched by ${wanted}` }
  if (wanted === 'listener' && one.applyTo !== 'LISTENER_FILTER') yield* filterComplaints(one.applyTo ?? '', one.match?.listener?.filterChain?.filter)
  yield* typeComplaints(one.patch?.value, ['patch', 'value'])
}

const CONNECTION_MANAGERS = ['envoy.filters.network.http_connection_manager', 'envoy.http_connection_manager']

function* filterComplaints(applyTo: string, filter: z.infer<typeof filterMatch> | undefined): Iterable<Complaint> {
  const at = ['match', 'listener', 'filterChain', 'filter']
  if (filter === undefined) return
  if (!filter.name) yield { at: [...at, 'name'], code: 'object.field-required', rule: 'the name of a filter' }
  else if (filter.subFilter !== undefined) {
    if (applyTo !== 'HTTP_FILTER') yield { at: [...at, 'subFilter'], code: 'object.field-conflict', rule: 'only for HTTP_FILTER' }
    else if (!CONNECTION_MANAGERS.includes(filter.name)) yield { at: [...at, 'name'], value: filter.name, rule: `${CONNECTION_MANAGERS[0]}, where subFilter is given` }
    else if (!filter.subFilter.name) yield { at: [...at, 'subFilter', 'name'], code: 'object.field-required', rule: 'the name of a filter' }
  }
}

// Version 2 of Envoy's API is gone from every Envoy that Weft speaks to: `envoy.api.v2…`, `envoy.config.filter.….v2.…`.
function* typeComplaints(value: unknown, at: readonly (string | number)[]): Iterable<Complaint> {
  if (value === null || typeof value !== 'object') return
  for (const [key, one] of Object.entries(value)) {
    const place = [...at, Array.isArray(value) ? Number(key) : key]
    if (key === '@type' && typeof one === 'string') {
      if (!one.includes('/') || /\.v2(alpha\d*)?\./.test(one)) yield { at: place, value: one, rule: 'the type of a message of Envoy’s API v3', hint: 'type.googleapis.com/envoy…v3…' }
    } else yield* typeComplaints(one, place)
  }
}

const envoyFilterSpec = z
  .strictObject({
    workloadSelector: labelSelector.optional().describe('The workloads; all of the namespace by default, all of the mesh in the root namespace.'),
    targetRefs: z.array(targetReference).max(16).optional().describe('Gateways or services to which it is attached, instead of a selector.'),
    configPatches: z.array(envoyConfigPatch).optional().describe('The changes, in order.'),
    priority: int32().optional().describe('Filters of lower priority are applied first; 0 by default.'),
  })
  .superRefine(
    judged(function* (spec): Iterable<Complaint> {
      if (spec.workloadSelector !== undefined && spec.targetRefs !== undefined) yield { at: ['targetRefs'], code: 'object.field-conflict', rule: 'only one of workloadSelector, targetRefs may be set' }
    }),
  )
export type EnvoyFilterSpec = z.infer<typeof envoyFilterSpec>
type EnvoyFilter = ResourceObject & { readonly spec: EnvoyFilterSpec }

function check(object: EnvoyFilter): Fault[] {
  const { spec } = object
  const faults = [warning('object.field-inert', { path: 'spec', rule: 'changes what lies beneath the API and may break with any release', hint: 'use another kind where one serves' })]
  if (spec.workloadSelector !== undefined && Object.keys(spec.workloadSelector.labels ?? {}).length === 0) faults.push(warning('object.field-inert', { path: 'spec.workloadSelector', rule: 'a selector without labels selects every workload' }))
  for (const [index, one] of (spec.configPatches ?? []).entries()) {
    if ((one.applyTo === 'LISTENER' || one.applyTo === 'FILTER_CHAIN') && one.match?.listener?.filterChain?.filter !== undefined) {
      faults.push(warning('object.field-inert', { path: `spec.configPatches[${index}].match.listener.filterChain.filter`, rule: `a filter does not count for ${one.applyTo}` }))
    }
  }
  return faults
}

export const envoyFilter: ResourceKind<{ spec: EnvoyFilterSpec }> = {
  group: 'networking.istio.io',
  versions: ['v1alpha3'],
  kind: 'EnvoyFilter',
  plural: 'envoyfilters',
  singular: 'envoyfilter',
  shortNames: [],
  categories: ['istio-io', 'networking-istio-io'],
  namespaced: true,
  description: 'Changes to the configuration that Envoys are given.',
  fields: z.strictObject({ spec: envoyFilterSpec.describe('The changes.') }),
  check,
  secretFields: [],
  printerColumns: [],
  example: {
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name: 'shorter-connect', namespace: 'default' },
    spec: { configPatches: [{ applyTo: 'CLUSTER', match: { context: 'SIDECAR_OUTBOUND' }, patch: { operation: 'MERGE', value: { connect_timeout: '1s' } } }] },
  },
}
