import { admitsNamespace } from './admission.ts'
import { meet } from './listener-conflict.ts'
import type { JudgedListener } from './listener.ts'
import { GATEWAY_API, wrong, fine } from './surroundings.ts'
import type { ApiObject, ConditionValue, ParentReference, RouteSpec, Surroundings } from './surroundings.ts'

/** Where a route counts by one of its parents: listeners with the hosts that it has there, or the callers of services; and what is told of it. */
export interface Attachment {
  readonly ref: ParentReference
  readonly controller: string
  readonly accepted: ConditionValue
  readonly listeners: readonly { readonly listener: JudgedListener; readonly hosts: readonly string[] }[]
  /** Full hosts of services whose callers it routes. */
  readonly services: readonly string[]
}

const ACCEPTED = fine('Accepted', 'Route was valid')

/** Undefined where the parent is none of this mesh's: another's Gateway, or none. `controllerOf` tells who serves a Gateway or ListenerSet, by `KIND NAMESPACE/NAME`. */
export function attach(route: ApiObject<RouteSpec>, ref: ParentReference, listeners: readonly JudgedListener[], controllerOf: (parent: string) => string | undefined, around: Surroundings): Attachment | undefined {
  const { group = GATEWAY_API, kind = 'Gateway', namespace = route.namespace } = ref
  if (group !== GATEWAY_API || (kind !== 'Gateway' && kind !== 'ListenerSet')) return attachToServices(ref, kind, group, namespace, around)
  const controller = controllerOf(`${kind} ${namespace}/${ref.name}`)
  if (controller === undefined) return undefined
  const named = listeners.filter(({ owner, listener }) => owner.kind === kind && owner.namespace === namespace && owner.name === ref.name && (ref.sectionName === undefined || listener.name === ref.sectionName) && (ref.port === undefined || listener.port === ref.port))
  const judged = named.map((listener) => ({ listener, ...judge(route, listener, around) }))
  const taken = judged.flatMap(({ listener, hosts, problem }) => (problem === undefined ? [{ listener, hosts }] : []))
  const problems = judged.map((one) => one.problem).filter((one) => one !== undefined)
  const accepted = taken.length > 0 ? ACCEPTED : (problems.find((one) => one[1] === 'NotAllowedByListeners') ?? problems[0] ?? wrong('NoMatchingParent', ref.sectionName !== undefined ? `sectionName "${ref.sectionName}" not found` : ref.port !== undefined ? `port ${ref.port} not found` : 'no listener'))
  return { ref, controller, accepted, listeners: taken, services: [] }
}

/** A route for the callers of a Service, or of a ServiceEntry's hosts (gateway-api.sigs.k8s.io/mesh). */
function attachToServices(ref: ParentReference, kind: string, group: string, namespace: string, around: Surroundings): Attachment {
  const host = `${ref.name}.${namespace}.${around.serviceDomain}`
  const found = group === '' && kind === 'Service' ? { hosts: [host], ports: around.service(host)?.ports } : group === 'networking.istio.io' && kind === 'ServiceEntry' ? around.serviceEntry(namespace, ref.name) : undefined
  const words = found?.ports === undefined ? `parent ${kind}/${ref.name} not found` : ref.sectionName !== undefined && !found.ports.some((one) => one.name === ref.sectionName) ? `sectionName "${ref.sectionName}" not found` : ref.port !== undefined && !found.ports.some((one) => one.port === ref.port) ? `port ${ref.port} not found` : undefined
  if (found === undefined || words !== undefined) return { ref, controller: MESH, accepted: wrong('NoMatchingParent', words ?? ''), listeners: [], services: [] }
  return { ref, controller: MESH, accepted: ACCEPTED, listeners: [], services: found.hosts }
}

/** Istio tells of routes within the mesh as the controller of gateways. */
const MESH = 'istio.io/gateway-controller'

function judge(route: ApiObject<RouteSpec>, listener: JudgedListener, around: Surroundings): { readonly hosts: readonly string[]; readonly problem?: ConditionValue } {
  const wanted = route.spec.hostnames ?? []
  const own = listener.listener.hostname
  const named = route.kind !== 'TCPRoute' && own !== undefined && wanted.length > 0
  const hosts = named ? wanted.filter((one) => meet(one, own)) : wanted.length === 0 ? ['*'] : wanted
  if (hosts.length === 0) return { hosts, problem: wrong('NoMatchingListenerHostname', `no hostnames matched parent hostname "${own}"`) }
  if (!listener.supportedKinds.includes(route.kind)) return { hosts, problem: wrong('NotAllowedByListeners', `kind ${GATEWAY_API}/v1/${route.kind} is not allowed`) }
  if (!admitsNamespace(listener, route.namespace, around)) return { hosts, problem: wrong('NotAllowedByListeners', `hostnames matched parent hostname "${own ?? '*'}", but namespace "${route.namespace}" is not allowed by the parent`) }
  return { hosts }
}
