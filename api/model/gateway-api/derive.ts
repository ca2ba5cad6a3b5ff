import type { Destination } from '#core/resource/destination.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { attach } from './attachment.ts'
import type { Attachment } from './attachment.ts'
import { judgeBackend, RESOLVED, worstOf } from './backend.ts'
import { DERIVED, derivedGateway, gatewayConditions, judgeListener } from './gateway.ts'
import type { JudgedListener } from './gateway.ts'
import { byPrecedence, ruleRoutes } from './http-rule.ts'
import type { RankedRoute } from './http-rule.ts'
import { CONTROLLERS, fine, STANDARD_CLASSES } from './surroundings.ts'
import type { ApiObject, ApiStatus, BackendReference, ConditionValue, GatewayApiObjects, RouteSpec, Surroundings } from './surroundings.ts'

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
    if (controllerName === undefined || !CONTROLLERS.includes(controllerName)) classes.delete(one.name)
    else {
      classes.set(one.name, controllerName)
      status.set(statusKey(one), { conditions: { Accepted: fine('Accepted', 'Handled by this mesh') } })
    }
  }
  const gateways = objects.gateways.filter((one) => classes.has(one.spec.gatewayClassName) && !isWaypoint(one.spec.gatewayClassName)).sort(byName)
  const controllers = new Map(gateways.map((one) => [`${one.namespace}/${one.name}`, classes.get(one.spec.gatewayClassName) ?? '']))
  const judged = new Map(gateways.map((one) => [one, (one.spec.listeners ?? []).map((listener) => judgeListener(one, listener, objects.grants, around))]))
  const whole = new Map(gateways.map((one) => [one, gatewayConditions(one, judged.get(one) ?? [], around)]))
  const served = gateways.filter((one) => whole.get(one)?.conditions['Accepted']?.[1] !== 'UnsupportedAddress').flatMap((one) => judged.get(one) ?? [])
  const found: ResourceObject[] = served.flatMap((one) => derivedGateway(one, around) ?? [])
  const attached = new Map<JudgedListener, number>()
  const hosts = new Map<string, HostRoutes>()
  for (const route of [...objects.routes].sort(byName)) {
    const attachments = (route.spec.parentRefs ?? []).flatMap((ref) => attach(route, ref, served, (name) => controllers.get(name), around) ?? [])
    if (attachments.length === 0) continue
    for (const { listeners } of attachments) for (const { listener } of listeners) attached.set(listener, (attached.get(listener) ?? 0) + 1)
    const problems: ConditionValue[] = []
    if (route.kind === 'HTTPRoute' || route.kind === 'GRPCRoute') fileRoutes(hosts, route, attachments, ruleRoutes({ route, grants: objects.grants, around, problems }))
    else found.push(...connectionRoutes(route, attachments, objects, around, problems))
    const resolved = problems.length === 0 ? RESOLVED : worstOf(problems)
    status.set(statusKey(route), { parents: attachments.map((one) => ({ ref: one.ref, controller: one.controller, conditions: { Accepted: one.accepted, ResolvedRefs: resolved } })) })
  }
  for (const [name, host] of [...hosts].sort(([a], [b]) => (a < b ? -1 : 1))) found.push(hostService(name, host))
  for (const gateway of gateways) {
    const { conditions, addresses } = whole.get(gateway) ?? { conditions: {}, addresses: [] }
    const listeners = served.filter((one) => one.gateway === gateway).map((one) => [one.listener.name, { attachedRoutes: attached.get(one) ?? 0, conditions: one.conditions, supportedKinds: one.supportedKinds }] as const)
    status.set(statusKey(gateway), { conditions, ...(addresses.length === 0 ? {} : { addresses }), ...(listeners.length === 0 ? {} : { listeners: Object.fromEntries(listeners) }) })
  }
  return { objects: found, status }
}

export const statusKey = (one: { readonly kind: string; readonly namespace: string; readonly name: string }): string => `${one.kind} ${one.namespace === '' ? '' : `${one.namespace}/`}${one.name}`

const byName = (a: ApiObject, b: ApiObject): number => (`${a.kind} ${a.namespace}/${a.name}` < `${b.kind} ${b.namespace}/${b.name}` ? -1 : 1)

/** Ambient mode's: no sidecar or gateway of this mesh is one. */
const isWaypoint = (className: string): boolean => className.includes('waypoint')

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
  const file = (name: string, host: string, gateway: string, consumers = false): void => {
    const known = hosts.get(name)
    if (known === undefined) hosts.set(name, { host, gateway, consumers, routes: [...routes] })
    // Two references may lead to one listener.
    else if (!known.routes.some((one) => one.of === route)) known.routes.push(...routes)
  }
  for (const { listeners, service } of attachments) {
    if (service !== undefined) file(`${route.namespace}~${service}`, service, 'mesh', service.split('.')[1] !== route.namespace)
    for (const { listener, hosts: names } of listeners) {
      if (listener.derived === undefined) continue
      for (const host of names) file(`${listener.gateway.namespace}~${listener.derived}~${host}`, host, `${listener.gateway.namespace}/${listener.derived}`)
    }
  }
}

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
      annotations: { 'internal.istio.io/parents': owners.map((one) => `${one.kind}/${one.name}.${one.namespace}`).join(','), 'internal.istio.io/route-semantics': 'gateway' },
    },
    spec: { hosts: [host], gateways: [gateway], ...(consumers ? { exportTo: ['.'] } : {}), http: sorted.map((one) => one.route) },
  }
}

/** TLSRoute and TCPRoute: one VirtualService for each rule and host, for connections are not merged. */
function connectionRoutes(route: ApiObject<RouteSpec>, attachments: readonly Attachment[], { grants }: GatewayApiObjects, around: Surroundings, problems: ConditionValue[]): ResourceObject[] {
  const protocol = route.kind === 'TLSRoute' ? 'tls' : 'tcp'
  const rules = (route.spec.rules ?? []) as readonly { readonly backendRefs?: readonly BackendReference[] }[]
  const judged = rules.map(({ backendRefs = [] }) => {
    const backends = backendRefs.map((backend) => ({ backend, ...judgeBackend(route, backend, grants, around) }))
    for (const { problem } of backends) if (problem !== undefined) problems.push(problem)
    const usable = backends.flatMap(({ backend, destination }): { destination: Destination; weight: number }[] => (destination === undefined || backend.weight === 0 ? [] : [{ destination, weight: backend.weight ?? 1 }]))
    return usable.length > 1 ? usable : usable.map(({ destination }) => ({ destination }))
  })
  const found: ResourceObject[] = []
  let index = 0
  for (const { listeners } of attachments) {
    for (const { listener, hosts } of listeners) {
      if (listener.derived === undefined) continue
      const sniHosts = protocol === 'tls' ? hosts : []
      for (const host of protocol === 'tls' ? hosts : ['*']) {
        for (const to of judged) {
          if (to.length === 0) continue
          found.push({
            apiVersion: 'networking.istio.io/v1',
            kind: 'VirtualService',
            metadata: { name: `${route.name}~${protocol}~${index++}~${DERIVED}`, namespace: route.namespace, annotations: { 'internal.istio.io/parents': `${route.kind}/${route.name}.${route.namespace}` } },
            spec: { hosts: [host], gateways: [`${listener.gateway.namespace}/${listener.derived}`], [protocol]: [{ ...(protocol === 'tls' ? { match: [{ sniHosts }] } : {}), route: to }] },
          })
        }
      }
    }
  }
  return found
}
