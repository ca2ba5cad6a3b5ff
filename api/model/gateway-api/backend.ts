import type { Destination } from '#core/resource/destination.ts'
import type { ReferenceGrantSpec } from '#core/resource/reference-grant.ts'
import { fine, isGranted, wrong } from './surroundings.ts'
import type { ApiObject, BackendReference, ConditionValue, RouteSpec, Surroundings } from './surroundings.ts'

/** A backend in Istio's model; undefined: it may not be called, or cannot be. */
export interface JudgedBackend {
  readonly destination: Destination | undefined
  readonly problem: ConditionValue | undefined
}

/** What of several problems a condition tells. */
const RANK = ['InvalidKind', 'RefNotPermitted', 'BackendNotFound']

export const RESOLVED = fine('ResolvedRefs', 'All references resolved')

export const worstOf = (problems: readonly ConditionValue[]): ConditionValue => [...problems].sort((a, b) => RANK.indexOf(a[1]) - RANK.indexOf(b[1]))[0] ?? RESOLVED

export function judgeBackend(route: ApiObject<RouteSpec>, backend: BackendReference, grants: readonly ApiObject<ReferenceGrantSpec>[], around: Surroundings): JudgedBackend {
  const { group = '', kind = 'Service', name, namespace = route.namespace, port } = backend
  const isService = (group === '' || group === 'core') && kind === 'Service'
  // A service of several clusters goes by the name that it has in each.
  const isImport = group === 'multicluster.x-k8s.io' && kind === 'ServiceImport'
  const host = group === 'networking.istio.io' && kind === 'Hostname' ? name : isService || isImport ? `${name}.${namespace}.${around.serviceDomain}` : undefined
  if (host === undefined) {
    return { destination: undefined, problem: wrong('InvalidKind', `referencing unsupported backendRef: group "${group}" kind "${kind}"`) }
  }
  if ((isService || isImport) && !isGranted(grants, { kind: route.kind, namespace: route.namespace }, { group, kind, namespace, name })) {
    return { destination: undefined, problem: wrong('RefNotPermitted', `backendRef ${name}/${namespace} not accessible to a ${route.kind} in namespace "${route.namespace}" (missing a ReferenceGrant?)`) }
  }
  const destination: Destination = { host, ...(port === undefined ? {} : { port: { number: port } }) }
  return { destination, problem: around.service(host) === undefined ? wrong('BackendNotFound', `backend(${host}) not found`) : undefined }
}
