import type { Resource, ResourceView } from '#api/serve/resource.ts'
import type { PlanSet } from '#core/explain/trail.ts'
import { describeFault } from '#core/fault/fault.ts'
import type { Read } from '#core/plan/read.ts'
import { readCluster } from '#core/plan/read-cluster.ts'
import { readEndpoints } from '#core/plan/read-endpoints.ts'
import { readListener } from '#core/plan/read-listener.ts'
import { readRoute } from '#core/plan/read-route.ts'
import { readScope } from '#core/plan/read-scope.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, LISTENER, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'

/**
 * What a proxy would execute of a view, through the very readers of the sidecar.
 * @throws Error naming the resource that they refuse: what translation makes, a proxy must take, so that is a defect of ours
 */
export function planSetOf(view: Pick<ResourceView, 'list'>): PlanSet {
  const scopes = plansOf(view, SCOPED_ROUTE_CONFIGURATION, readScope)
  return {
    listeners: plansOf(view, LISTENER, readListener),
    scopes: new Map([...scopes.values()].map((scope) => [scope.key, scope])),
    tables: plansOf(view, ROUTE_CONFIGURATION, readRoute),
    clusters: plansOf(view, CLUSTER, readCluster),
    endpoints: plansOf(view, CLUSTER_LOAD_ASSIGNMENT, readEndpoints),
  }
}

function plansOf<Plan>(view: Pick<ResourceView, 'list'>, type: string, read: (bytes: Uint8Array, version: string) => Read<Plan>): Map<string, Plan> {
  return new Map([...view.list(type)].map((resource) => [resource.name, planOf(resource, read)]))
}

/** Proxies share resources, and so does the answer to one question with that to the next. */
const plansRead = new WeakMap<Resource, unknown>()

function planOf<Plan>(resource: Resource, read: (bytes: Uint8Array, version: string) => Read<Plan>): Plan {
  // A resource is of one type, and each type has one reader.
  if (plansRead.has(resource)) return plansRead.get(resource) as Plan
  const result = read(resource.bytes, resource.version)
  if (result.ok) {
    plansRead.set(resource, result.plan)
    return result.plan
  }
  throw new Error(`a resource of ours cannot be carried out: ${resource.type} ${resource.name}: ${result.faults.map(describeFault).join('; ')}`)
}
