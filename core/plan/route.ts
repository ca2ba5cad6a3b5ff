import type { RequestHead } from '../route/request.ts'
import type { RouteExtAuthz } from './ext-authz.ts'
import type { RouteJwt } from './jwt.ts'
import type { StringMatchPlan } from './listener.ts'
import type { LocalRateLimitPlan } from './local-rate-limit.ts'
import type { Origin } from './origin.ts'
import type { RouteRateLimits } from './rate-limit.ts'

export interface FaultPlan {
  readonly delayMs: number
  readonly delayPercent: number
  readonly abortStatus: number
  /** An abort that answers a gRPC status (grpc-status, HTTP 200) instead of `abortStatus`. */
  readonly abortGrpcStatus?: number
  readonly abortPercent: number
}

export interface RouteTable {
  readonly name: string
  readonly version: string
  /** Exact domain (lower case, with port where given) → virtual host. */
  readonly exact: ReadonlyMap<string, VirtualHost>
  /** `*.example.com`, longest first. */
  readonly suffixes: readonly { readonly suffix: string; readonly host: VirtualHost }[]
  /** `example.*`, longest first. */
  readonly prefixes: readonly { readonly prefix: string; readonly host: VirtualHost }[]
  readonly any: VirtualHost | undefined
  readonly ignorePort: boolean
  /** Removed from every request before it leaves. */
  readonly requestHeadersToRemove: readonly string[]
}

export interface VirtualHost {
  readonly name: string
  readonly routes: readonly Route[]
  readonly requireTls: boolean
  /** Tell upstream which try it is, in `x-envoy-attempt-count`. */
  readonly includeAttemptCount?: boolean
}

export interface Route {
  readonly name: string
  readonly origin: Origin | undefined
  /** All criteria, in words, for explain. */
  readonly words: string
  /** Compiled; allocates nothing. */
  matches(request: RequestHead): boolean
  readonly action: ForwardAction | RedirectAction | DirectAction
  readonly requestHeaders: HeaderOperations | undefined
  readonly responseHeaders: HeaderOperations | undefined
  /** Per-route settings of filters, by filter kind. */
  readonly fault: FaultPlan | undefined
  readonly cors: CorsPlan | undefined
  readonly jwt?: RouteJwt
  /** Whether gRPC-Web is translated; absent: the filter says. */
  readonly grpcWeb?: boolean
  readonly extAuthz?: RouteExtAuthz
  readonly rateLimits?: RouteRateLimits
  /** By the name of the filter whose own it replaces. */
  readonly localRateLimits?: ReadonlyMap<string, LocalRateLimitPlan>
  /** Span name, `order-service.prod.svc.cluster.local:8080/*`. */
  readonly operation: string
}

export interface ForwardAction {
  readonly kind: 'forward'
  readonly clusters: WeightedClusters
  /** A CONNECT ends here: what its tunnel carries goes to the cluster as it comes. */
  readonly endsTunnels?: boolean
  /** Whether a CONNECT is let through; absent: the connection manager says. */
  readonly connects?: boolean
  /** What is answered where the chosen cluster is not there; absent: 503. */
  readonly noClusterStatus?: number
  /** Whole request, retries included; 0: none. */
  readonly timeoutMs: number
  /** For gRPC, whose `grpc-timeout` then counts in place of `timeoutMs`, up to this; 0: as long as it says. Absent: it does not count. */
  readonly grpcTimeoutMaxMs?: number
  readonly idleTimeoutMs: number | undefined
  readonly retry: RetryPlan | undefined
  readonly mirrors: readonly MirrorPlan[]
  readonly prefixRewrite: { readonly from: string; readonly to: string } | undefined
  readonly regexRewrite: { readonly words: string; rewrite(path: string): string } | undefined
  /** The literal new :authority, or undefined to keep. */
  readonly hostRewrite: string | undefined
  /** Take the chosen endpoint's hostname as :authority. */
  readonly autoHostRewrite: boolean
  readonly hash: readonly HashPlan[]
  /** Keeps a client at the endpoint that served it first; absent: it is not. */
  readonly session?: SessionPlan
}

/** Envoy's stateful session: what a client brings back tells the endpoint. */
export interface SessionPlan {
  readonly by: 'cookie' | 'header'
  readonly name: string
  /** How long a cookie lives; 0: as long as the browser. */
  readonly ttlMs: number
  /** Of a cookie; empty: of the request that got it. */
  readonly path: string
}

export interface WeightedClusters {
  readonly entries: readonly WeightedCluster[]
  /** cumulative[i] is the sum of weights up to and with entry i. */
  readonly cumulative: readonly number[]
  readonly total: number
}

export interface WeightedCluster {
  readonly cluster: string
  readonly weight: number
  readonly origin: Origin | undefined
  /** The literal new :authority when this one is chosen, over the route's. */
  readonly hostRewrite?: string
  readonly requestHeaders: HeaderOperations | undefined
  readonly responseHeaders: HeaderOperations | undefined
}

export interface RedirectAction {
  readonly kind: 'redirect'
  readonly status: number
  readonly scheme: 'http' | 'https' | undefined
  readonly host: string | undefined
  readonly port: number | undefined
  readonly path: string | undefined
  readonly prefixRewrite: { readonly from: string; readonly to: string } | undefined
  readonly regexRewrite?: { readonly words: string; rewrite(path: string): string } | undefined
  readonly stripQuery: boolean
}

export interface DirectAction {
  readonly kind: 'direct'
  readonly status: number
  readonly body: string
}

/** Envoy's RetryPolicy; flags in a bit set: see core/balance/retry.ts. */
export interface RetryPlan {
  /** Bit set of RetryOn flags. */
  readonly on: number
  readonly statusCodes: ReadonlySet<number>
  /** Tries beyond the first. */
  readonly retriesMax: number
  /** 0: none of its own. */
  readonly perTryTimeoutMs: number
  readonly backoffBaseMs: number
  readonly backoffMaxMs: number
  /** Avoid hosts that were tried (previous_hosts predicate), at most this many picks. */
  readonly avoidTriedHosts: boolean
  readonly hostSelectionAttemptsMax: number
  /** Priorities that were tried are left out, looked at again every so many tries (previous_priorities). */
  readonly avoidTriedPriorities?: { readonly updateFrequency: number }
}

export interface MirrorPlan {
  readonly cluster: string
  readonly percent: number
  /** Append `-shadow` to the host, as Envoy does unless told not to. */
  readonly marksHost?: boolean
}

export interface HashPlan {
  readonly by: 'header' | 'cookie' | 'source-address' | 'query-parameter'
  readonly name: string
  readonly ttlMs: number | undefined
  readonly path: string
  /** Further attributes of a cookie that is made, `SameSite=Strict`; absent: none. */
  readonly attributes?: readonly string[]
  readonly terminal: boolean
}

export interface HeaderOperations {
  /** Lower-case names; values may hold Envoy's command operators, compiled to constant text where they are constant. */
  readonly set: readonly { readonly name: string; readonly value: string }[]
  readonly add: readonly { readonly name: string; readonly value: string }[]
  readonly remove: readonly string[]
  /** Only where there is none. */
  readonly addIfAbsent?: readonly { readonly name: string; readonly value: string }[]
  /** Only where there is one. */
  readonly setIfPresent?: readonly { readonly name: string; readonly value: string }[]
}

export interface CorsPlan {
  readonly allowOrigins: readonly StringMatchPlan[]
  readonly allowMethods: string
  readonly allowHeaders: string
  readonly exposeHeaders: string
  readonly maxAge: string
  readonly allowCredentials: boolean
  /** A preflight of an origin that is not allowed ends here, without leave; absent: the application answers it. */
  readonly keepsUnmatchedPreflights?: boolean
}
