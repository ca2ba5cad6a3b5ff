import type { Destination } from '#core/resource/destination.ts'
import type { GatewayApiSpec } from '#core/resource/gateway-api-gateway.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import type { HttpRoute } from '#core/resource/virtual-service-http.ts'
import { attach } from './attachment.ts'
import type { Attachment } from './attachment.ts'
import { derivePolicies } from './backend-policy.ts'
import type { AncestorGateway } from './backend-policy.ts'
import { judgeBackend, NOWHERE, RESOLVED, worstOf } from './backend.ts'
import { derivedGateway, gatewayConditions } from './gateway.ts'
import type { WholeStatus } from './gateway.ts'
import { byPrecedence, ruleRoutes } from './http-rule.ts'
import type { RankedRoute } from './http-rule.ts'
import { DERIVED, judgeListener } from './listener.ts'
import type { JudgedListener } from './listener.ts'
import { withConflicts, withOverlaps } from './listener-conflict.ts'
import { isAccepted, judgeSets } from './listener-set.ts'
import type { JudgedSet } from './listener-set.ts'
import { writtenAnnotation } from '../written.ts'
import type { Written } from '../written.ts'
import { CONTROLLERS, EAST_WEST_CONTROLLER, fine, GATEWAY_API, MESH_CONTROLLER, STANDARD_CLASSES } from './surroundings.ts'
import type { ApiObject, ApiStatus, BackendReference, ConditionValue, GatewayApiObjects, ParentReference, RouteSpec, Surroundings } from './surroundings.ts'

/** What Gateway API objects amount to: Gateways and VirtualServices of Istio's model, and what is told of each object, by `KIND NAMESPACE/NAME`. */
export interface Derived {
  readonly objects: readonly ResourceObject[]
  readonly status: ReadonlyMap<string, ApiStatus>
}

/** A pure function: equal objects and surroundings derive the same, in whatever order they come. */
export function deriveGatewayApi(objects: GatewayApiObjects, around: Surroundings): Derived {
  const status = new Map<string, ApiStatus>()
  const classes = new Map(Object.entries(STANDARD_CLASSES))
  for (const one of objects.classes) {
    const { controllerName } = one.spec as { controllerName?: string }
    if (controllerName === undefined || !OWN_CONTROLLERS.has(controllerName)) classes.delete(one.name)
    else {
      classes.set(one.name, controllerName)
      status.set(statusKey(one), { conditions: { Accepted: fine('Accepted', 'Handled by this mesh') } })
    }
  }
  const gateways = objects.gateways.filter((one) => classes.has(one.spec.gatewayClassName)).sort(byName).map((gateway) => judgeGateway(gateway, classes.get(gateway.spec.gatewayClassName) ?? '', objects, around))
  const served = gateways.flatMap((one) => [...(one.refused ? [] : one.listeners), ...one.sets.filter(isAccepted).flatMap((set) => set.listeners)])
  const controllers = new Map<string, string>(gateways.flatMap(({ gateway, controller, sets }) => [[`Gateway ${gateway.namespace}/${gateway.name}`, controller] as const, ...sets.map(({ set }) => [`ListenerSet ${set.namespace}/${set.name}`, controller] as const)]))
  const found: ResourceObject[] = served.flatMap((one) => derivedGateway(one, objects.grants, around) ?? [])
  const attached = new Map<JudgedListener, number>()
  const ancestors = new Map<string, AncestorGateway[]>()
  const hosts = new Map<string, HostRoutes>()
  for (const route of [...objects.routes].sort(byName)) {
    const attachments = parentsOf(route, gateways).flatMap((ref) => attach(route, ref, served, (name) => controllers.get(name), around) ?? [])
    if (attachments.length === 0) continue
    for (const { listeners } of attachments) for (const { listener } of listeners) attached.set(listener, (attached.get(listener) ?? 0) + 1)
    noteAncestors(ancestors, route, attachments)
    const problems: ConditionValue[] = []
    if (route.kind === 'HTTPRoute' || route.kind === 'GRPCRoute') fileRoutes(hosts, route, attachments, ruleRoutes({ route, objects, around, problems }))
    else found.push(...connectionRoutes(route, attachments, objects, around, problems))
    const resolved = problems.length === 0 ? RESOLVED : worstOf(problems)
    status.set(statusKey(route), { parents: attachments.map((one) => ({ ref: one.ref, controller: one.controller, conditions: { Accepted: one.accepted, ResolvedRefs: resolved } })) })
  }
  for (const [name, host] of [...hosts].sort(([a], [b]) => (a < b ? -1 : 1))) found.push(hostService(name, host))
  const policies = derivePolicies({ objects, around, ancestors })
  found.push(...policies.objects)
  for (const [one, told] of policies.status) status.set(statusKey(one), told)
  for (const one of gateways) for (const [key, told] of gatewayStatus(one, attached)) status.set(key, told)
  return { objects: found, status }
}

/** The parents that a route names, and where it asks for them the Gateways that are for whatever route asks: gateway-api.sigs.k8s.io/geps/gep-3793. */
function parentsOf({ namespace: own, spec: { parentRefs = [], useDefaultGateways } }: ApiObject<RouteSpec>, gateways: readonly JudgedGateway[]): readonly ParentReference[] {
  if (useDefaultGateways !== 'All') return parentRefs
  const isNamed = ({ namespace, name }: ApiObject): boolean => parentRefs.some((one) => (one.group ?? GATEWAY_API) === GATEWAY_API && (one.kind ?? 'Gateway') === 'Gateway' && (one.namespace ?? own) === namespace && one.name === name)
  const standing = gateways.filter(({ gateway }) => gateway.spec.defaultScope === 'All' && !isNamed(gateway))
  return [...parentRefs, ...standing.map(({ gateway: { namespace, name } }) => ({ group: GATEWAY_API, kind: 'Gateway', namespace, name }))]
}

const OWN_CONTROLLERS = new Set([...CONTROLLERS, ...Object.values(STANDARD_CLASSES)])

/** A Gateway of this mesh with all that is listened on for it. */
interface JudgedGateway {
  readonly gateway: ApiObject<GatewayApiSpec>
  readonly controller: string
  readonly listeners: readonly JudgedListener[]
  readonly sets: readonly JudgedSet[]
  readonly whole: WholeStatus
  /** It cannot have the addresses that it asks for, and is not served. */
  readonly refused: boolean
}

function judgeGateway(gateway: ApiObject<GatewayApiSpec>, controller: string, objects: GatewayApiObjects, around: Surroundings): JudgedGateway {
  const context = { gateway, controller, grants: objects.grants, around }
  const judged = withConflicts((gateway.spec.listeners ?? []).map((listener) => judgeListener({ ...context, owner: gateway }, listener)))
  const own = objects.listenerSets.filter(({ namespace, spec: { parentRef } }) => (parentRef.kind ?? 'Gateway') === 'Gateway' && (parentRef.group ?? GATEWAY_API) === GATEWAY_API && (parentRef.namespace ?? namespace) === gateway.namespace && parentRef.name === gateway.name)
  const judgedSets = judgeSets(own, context)
  const overlaps = new Map(withOverlaps([...judged, ...judgedSets.flatMap((one) => one.listeners)]).map((one) => [`${one.owner.kind}/${one.owner.namespace}/${one.owner.name}/${one.listener.name}`, one]))
  const told = (one: JudgedListener): JudgedListener => overlaps.get(`${one.owner.kind}/${one.owner.namespace}/${one.owner.name}/${one.listener.name}`) ?? one
  const listeners = judged.map(told)
  const sets = judgedSets.map((one) => ({ ...one, listeners: one.listeners.map(told) }))
  const ports = [...new Set([...listeners, ...sets.filter(isAccepted).flatMap((one) => one.listeners)].map((one) => one.listener.port))]
  const whole = gatewayConditions(gateway, listeners, ports, controller !== MESH_CONTROLLER && controller !== EAST_WEST_CONTROLLER, objects.grants, around)
  return { gateway, controller, listeners, sets, whole, refused: whole.conditions['Accepted']?.[1] === 'UnsupportedAddress' }
}

/** What is told of a Gateway and of the ListenerSets that name it. */
function gatewayStatus({ gateway, listeners, sets, whole, refused }: JudgedGateway, attached: ReadonlyMap<JudgedListener, number>): [string, ApiStatus][] {
  const told = (judged: readonly JudgedListener[]): Pick<ApiStatus, 'listeners'> =>
    judged.length === 0 ? {} : { listeners: Object.fromEntries(judged.map((one) => [one.listener.name, { attachedRoutes: attached.get(one) ?? 0, conditions: one.conditions, supportedKinds: one.supportedKinds }])) }
  const added = sets.filter(isAccepted).length
  return [
    [statusKey(gateway), { conditions: whole.conditions, ...(whole.addresses.length === 0 ? {} : { addresses: whole.addresses }), ...(added === 0 ? {} : { attachedListenerSets: added }), ...told(refused ? [] : listeners) }],
    ...sets.map(({ set, conditions, listeners: ofSet }): [string, ApiStatus] => [statusKey(set), { conditions, ...told(ofSet) }]),
  ]
}

/** Files the Gateways that a route is attached to under the backends that it leads to. */
function noteAncestors(ancestors: Map<string, AncestorGateway[]>, route: ApiObject<RouteSpec>, attachments: readonly Attachment[]): void {
  const gateways = attachments.flatMap(({ controller, listeners }) => listeners.map(({ listener: { gateway } }): AncestorGateway => ({ namespace: gateway.namespace, name: gateway.name, controller })))
  for (const rule of (route.spec.rules ?? []) as readonly { readonly backendRefs?: readonly BackendReference[] }[]) {
    for (const { group = '', kind = 'Service', namespace = route.namespace, name } of rule.backendRefs ?? []) {
      const key = `${group === 'core' ? '' : group}/${kind}/${namespace}/${name}`
      const known = ancestors.get(key) ?? []
      ancestors.set(key, known)
      for (const one of gateways) if (!known.some((other) => other.namespace === one.namespace && other.name === one.name)) known.push(one)
    }
  }
}

export const statusKey = (one: { readonly kind: string; readonly namespace: string; readonly name: string }): string => `${one.kind} ${one.namespace === '' ? '' : `${one.namespace}/`}${one.name}`

const byName = (a: ApiObject, b: ApiObject): number => (`${a.kind} ${a.namespace}/${a.name}` < `${b.kind} ${b.namespace}/${b.name}` ? -1 : 1)

/** Later than any date that can be written: what is being judged has no age yet. */
const YEAR_10000_MS = 253_402_300_800_000

/** The routes of one host at one listener, or of one service's callers. */
interface HostRoutes {
  readonly host: string
  readonly gateway: string
  /** A route of another namespace than the service's counts for callers in its own namespace only (gateway-api.sigs.k8s.io/geps/gep-1426, consumer routes). */
  readonly consumers: boolean
  readonly routes: RankedRoute[]
}

function fileRoutes(hosts: Map<string, HostRoutes>, route: ApiObject<RouteSpec>, attachments: readonly Attachment[], routes: readonly RankedRoute[]): void {
  const filed = new Set<string>()
  const file = (name: string, host: string, gateway: string, consumers = false, port?: number): void => {
    // Two references may lead to one listener.
    if (filed.has(`${name} ${port}`)) return
    filed.add(`${name} ${port}`)
    const own = port === undefined ? routes : routes.map((one) => ({ ...one, route: atPort(one.route, port) }))
    const known = hosts.get(name)
    if (known === undefined) hosts.set(name, { host, gateway, consumers, routes: [...own] })
    else known.routes.push(...own)
  }
  for (const { ref, listeners, services } of attachments) {
    for (const service of services) file(`${route.namespace}~${service}`, service, 'mesh', (ref.namespace ?? route.namespace) !== route.namespace, ref.port)
    for (const { listener, hosts: names } of listeners) {
      if (listener.derived === undefined) continue
      for (const host of names) file(`${listener.owner.namespace}~${listener.derived}~${host}`, host, `${listener.owner.namespace}/${listener.derived}`)
    }
  }
}

/** A route for calls of one port of a service. */
const atPort = (route: HttpRoute, port: number): HttpRoute => ({ ...route, match: (route.match ?? [{}]).map((one) => ({ ...one, port })) })

function hostService(name: string, { host, gateway, consumers, routes }: HostRoutes): ResourceObject {
  const sorted = [...routes].sort(byPrecedence)
  const owners = [...new Map(sorted.map((one) => [statusKey(one.of), one.of])).values()].sort(byName)
  const oldest = [...owners].sort((a, b) => a.createdAtMs - b.createdAtMs || byName(a, b))[0]
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: {
      name,
      namespace: oldest?.namespace ?? '',
      ...(oldest === undefined || oldest.createdAtMs >= YEAR_10000_MS ? {} : { creationTimestamp: new Date(oldest.createdAtMs).toISOString() }),
      annotations: { 'internal.istio.io/parents': owners.map((one) => `${one.kind}/${one.name}.${one.namespace}`).join(','), 'internal.istio.io/route-semantics': 'gateway', ...writtenAnnotation(partsOf(sorted)) },
    },
    spec: { hosts: [host], gateways: [gateway], ...(consumers ? { exportTo: ['.'] } : {}), http: sorted.map((one) => one.route) },
  }
}

/** Which rule, condition and backend somebody wrote each part for. */
function partsOf(routes: readonly RankedRoute[]): Map<string, Written> {
  const parts = new Map<string, Written>()
  for (const [place, { of, index, match, backends }] of routes.entries()) {
    const resource = `${of.kind}/${of.namespace}/${of.name}`
    parts.set(`http[${place}]`, { resource, field: `rules[${index}]${match === undefined ? '' : `.matches[${match}]`}` })
    for (const [at, backend] of backends.entries()) parts.set(`http[${place}].route[${at}]`, { resource, field: `rules[${index}].backendRefs[${backend}]` })
  }
  return parts
}

/** TLSRoute and TCPRoute: one VirtualService for each rule and host, for connections are not merged. */
function connectionRoutes(route: ApiObject<RouteSpec>, attachments: readonly Attachment[], objects: GatewayApiObjects, around: Surroundings, problems: ConditionValue[]): ResourceObject[] {
  const protocol = route.kind === 'TLSRoute' ? 'tls' : 'tcp'
  const rules = (route.spec.rules ?? []) as readonly { readonly backendRefs?: readonly BackendReference[] }[]
  const judged = rules.map(({ backendRefs = [] }) => {
    const backends = backendRefs.map((backend) => ({ backend, ...judgeBackend(route, backend, objects, around) }))
    for (const { problem } of backends) if (problem !== undefined) problems.push(problem)
    const usable = backends.flatMap(({ backend, destination = NOWHERE }): { destination: Destination; weight: number }[] => (backend.weight === 0 ? [] : [{ destination, weight: backend.weight ?? 1 }]))
    return usable.length > 1 ? usable : usable.map(({ destination }) => ({ destination }))
  })
  const found: ResourceObject[] = []
  let index = 0
  for (const { listeners } of attachments) {
    for (const { listener, hosts } of listeners) {
      if (listener.derived === undefined) continue
      const sniHosts = protocol === 'tls' ? hosts : []
      for (const host of protocol === 'tls' ? hosts : ['*']) {
        for (const [rule, to] of judged.entries()) {
          if (to.length === 0) continue
          const parts = new Map([[`${protocol}[0]`, { resource: `${route.kind}/${route.namespace}/${route.name}`, field: `rules[${rule}]` }]])
          found.push({
            apiVersion: 'networking.istio.io/v1',
            kind: 'VirtualService',
            metadata: { name: `${route.name}~${protocol}~${index++}~${DERIVED}`, namespace: route.namespace, annotations: { 'internal.istio.io/parents': `${route.kind}/${route.name}.${route.namespace}`, ...writtenAnnotation(parts) } },
            spec: { hosts: [host], gateways: [`${listener.owner.namespace}/${listener.derived}`], [protocol]: [{ ...(protocol === 'tls' ? { match: [{ sniHosts }] } : {}), route: to }] },
          })
        }
      }
    }
  }
  return found
}
