import type { ClusterPlan } from '../plan/cluster.ts'
import type { EndpointsPlan } from '../plan/endpoints.ts'
import type { ScopePlan } from '../plan/http.ts'
import type { ListenerPlan } from '../plan/listener.ts'
import type { Origin } from '../plan/origin.ts'
import type { HeaderOperations, RouteTable } from '../plan/route.ts'

/** All that one proxy executes, by name; scopes by their key. What a sidecar holds after its streams, or what translation gives at a revision. */
export interface PlanSet {
  readonly listeners: ReadonlyMap<string, ListenerPlan>
  readonly scopes: ReadonlyMap<string, ScopePlan>
  readonly tables: ReadonlyMap<string, RouteTable>
  readonly clusters: ReadonlyMap<string, ClusterPlan>
  readonly endpoints: ReadonlyMap<string, EndpointsPlan>
}

/** One decision, in words. */
export interface Step {
  readonly side: 'client' | 'server'
  readonly kind: 'listener' | 'chain' | 'scope' | 'virtual-host' | 'route' | 'cluster' | 'endpoint' | 'transport' | 'policy' | 'application'
  readonly words: string
  /** False: tried, and passed over. */
  readonly matched: boolean
  readonly origin?: Origin
}

/** Where a request goes, with its share of 100. */
export interface Target {
  readonly cluster: string
  readonly host: string
  readonly subset: string
  readonly port: number
  readonly weight: number
  readonly origin?: Origin
  /** Healthy endpoints, `127.0.1.2:15006`. */
  readonly endpoints: readonly string[]
}

/** `refused`: a connection closed, or 403 by a policy; `blocked`: sent to nowhere on purpose. */
export type Outcome = 'routed' | 'redirect' | 'https-redirect' | 'direct-response' | 'not-found' | 'refused' | 'blocked'

export interface Trail {
  readonly outcome: Outcome
  /** What the caller sees where the mesh itself answers: 301, 403, 404, 503. */
  readonly status: number | undefined
  /** The object that decided. */
  readonly by: Origin | undefined
  /** One sentence. */
  readonly why: string
  readonly steps: readonly Step[]
  readonly to: readonly Target[]
  /** Of a redirect. */
  readonly location: string | undefined
  /** Path and authority as they go upstream, where they differ from the request's. */
  readonly rewrite: { readonly path?: string; readonly authority?: string } | undefined
  readonly mirrors: readonly { readonly cluster: string; readonly percent: number }[]
  /** 0: none. */
  readonly timeoutMs: number | undefined
  /** Tries beyond the first. */
  readonly retries: number | undefined
  /** What the route does to the request's headers; those of a single destination included. */
  readonly requestHeaders?: HeaderOperations
}
