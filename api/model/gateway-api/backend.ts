import type { Destination } from '#core/resource/destination.ts'
import { EXPERIMENTAL_GATEWAY_API } from '#core/resource/x-backend.ts'
import { isUnservedBackend } from './backend-policy.ts'
import { fine, isGranted, wrong } from './surroundings.ts'
import type { ApiObject, BackendReference, ConditionValue, GatewayApiObjects, RouteSpec, Surroundings } from './surroundings.ts'

/** A backend in Istio's model; undefined: it may not be called, or cannot be. */
export interface JudgedBackend {
  readonly destination: Destination | undefined
  readonly problem: ConditionValue | undefined
}

/** No service has that host: requests that fall to it are answered with an error, and the others go where they should. */
export const NOWHERE: Destination = { host: 'invalid-backend.invalid' }

/** What of several problems a condition tells. */
const RANK = ['InvalidFilter', 'InvalidDestination', 'InvalidKind', 'RefNotPermitted', 'BackendNotFound']

export const RESOLVED = fine('ResolvedRefs', 'All references resolved')

export const worstOf = (problems: readonly ConditionValue[]): ConditionValue => [...problems].sort((a, b) => RANK.indexOf(a[1]) - RANK.indexOf(b[1]))[0] ?? RESOLVED

/** A group of endpoints that a picker beside the gateway chooses from, by what a request asks of a model. No picker is asked here, so there is none. */
const INFERENCE = 'inference.networking.k8s.io'

export function judgeBackend(route: ApiObject<RouteSpec>, backend: BackendReference, { grants, backends }: Pick<GatewayApiObjects, 'grants' | 'backends'>, around: Surroundings): JudgedBackend {
  const { group = '', kind = 'Service', name, namespace = route.namespace, port } = backend
  const isService = (group === '' || group === 'core') && kind === 'Service'
  // A service of several clusters goes by the name that it has in each.
  const isImport = group === 'multicluster.x-k8s.io' && kind === 'ServiceImport'
  const isHostname = group === 'networking.istio.io' && kind === 'Hostname'
  const isBackend = group === EXPERIMENTAL_GATEWAY_API && kind === 'XBackend'
  const isPool = group === INFERENCE && kind === 'InferencePool'
  if (!isService && !isImport && !isHostname && !isBackend && !isPool) return { destination: undefined, problem: wrong('InvalidKind', `referencing unsupported backendRef: group "${group}" kind "${kind}"`) }
  // A host that is none of a namespace's objects is nobody's to grant.
  if (!isHostname && !isGranted(grants, { kind: route.kind, namespace: route.namespace }, { group, kind, namespace, name })) {
    return { destination: undefined, problem: wrong('RefNotPermitted', `backendRef ${name}/${namespace} not accessible to a ${route.kind} in namespace "${route.namespace}" (missing a ReferenceGrant?)`) }
  }
  if (isPool) return { destination: undefined, problem: wrong('BackendNotFound', `InferencePool ${namespace}/${name} not found`) }
  if (isBackend) {
    const found = backends.find((one) => one.namespace === namespace && one.name === name)
    const host = found?.spec.externalHostname?.hostname
    if (found === undefined || host === undefined || isUnservedBackend(found.spec)) return { destination: undefined, problem: wrong('BackendNotFound', `backend(${name}) not found`) }
    const expected = found.spec.port.port
    if (port !== undefined && port !== expected) return { destination: undefined, problem: wrong('BackendNotFound', `backend(${name}) does not expose port ${port}, expected ${expected}`) }
    return { destination: { host, port: { number: expected } }, problem: undefined }
  }
  if (isHostname && backend.namespace !== undefined) return { destination: undefined, problem: wrong('InvalidDestination', 'namespace may not be set with Hostname type') }
  if ((isService || isImport) && name.includes('.')) return { destination: undefined, problem: wrong('InvalidDestination', 'service name invalid; the name of the Service must be used, not the hostname.') }
  const host = isHostname ? name : `${name}.${namespace}.${around.serviceDomain}`
  const destination: Destination = { host, ...(port === undefined ? {} : { port: { number: port } }) }
  return { destination, problem: around.service(host) === undefined ? wrong('BackendNotFound', `backend(${host}) not found`) : undefined }
}
