import type { SocketAddress } from '../workload/workload.ts'
import type { Cidr } from '../match/cidr.ts'
import type { PeerInfo, RequestHead } from '../route/request.ts'

/**
 * The Plan: what a proxy executes. `core/plan/read-*.ts` compile it from xDS messages, one resource at a time; each value is immutable, and a change replaces it whole.
 * A request looks at a table once and keeps what it found, so configuration swaps between two requests and never within one.
 * Everything that can be prepared is prepared here: predicates are compiled, weights are summed, names are split.
 */

/** Where a piece of plan comes from: `VirtualService/prod/order-service` and `http[0].route[1]`, and the revision that wrote it. From metadata key `weft` (or `istio`: config path). */
export interface Origin {
  readonly resource: string
  readonly field: string
  readonly revision: number
}

// ---- listeners

export interface ListenerPlan {
  readonly name: string
  readonly version: string
  readonly direction: 'inbound' | 'outbound' | 'gateway'
  /** Undefined: not bound (reached only through capture). */
  readonly bind: SocketAddress | undefined
  /** The address that it is for: the same where it is bound, and where it is not the one that captured connections went to. */
  readonly address?: SocketAddress
  /** A tls_inspector is there: peek for a ClientHello before choosing a chain. */
  readonly inspectsTls: boolean
  /** An http_inspector is there: peek for a plaintext HTTP request line; what is found counts as the application protocol. */
  readonly inspectsHttp?: boolean
  /** The connection's destination before it was captured chooses the listener and the chain (`use_original_dst`, original_dst filter). */
  readonly usesOriginalDestination?: boolean
  /** Connections go on to the listener of that address, where there is one (`use_original_dst`). */
  readonly handsOff?: boolean
  readonly chains: readonly FilterChainPlan[]
  readonly defaultChain: FilterChainPlan | undefined
}

export interface FilterChainPlan {
  readonly name: string
  readonly match: ChainMatch
  readonly tls: ServerTlsPlan | undefined
  /** Network filters before the last one. */
  readonly rbac: readonly RbacPlan[]
  readonly serve: HttpPlan | TcpPlan
}

/** Envoy's FilterChainMatch, the criteria that Weft uses; empty and undefined match everything. */
export interface ChainMatch {
  readonly destinationPort: number | undefined
  /** Ranges that the connection's destination must be in; absent: any. */
  readonly destinations?: readonly Cidr[]
  /** Exact names and `*.suffix`. */
  readonly serverNames: readonly string[]
  readonly transportProtocol: '' | 'tls' | 'raw_buffer'
  readonly applicationProtocols: readonly string[]
}

export interface ServerTlsPlan {
  /** Names of secrets with certificate and key. */
  readonly certificates: readonly string[]
  /** Name of the secret with the roots that client certificates must lead to. */
  readonly trust: string | undefined
  readonly requireClientCertificate: boolean
  /** A client certificate must carry one of these SANs; empty: any. */
  readonly allowedSans: readonly StringMatchPlan[]
  readonly alpn: readonly string[]
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3'
  /** OpenSSL names, for TLS 1.2; absent: the runtime's own choice. */
  readonly cipherSuites?: readonly string[]
}

/** Compiled, with the words that explain it: `prefix "/orders"`. */
export interface StringMatchPlan {
  readonly words: string
  matches(text: string): boolean
}

export interface TcpPlan {
  readonly kind: 'tcp'
  readonly clusters: WeightedClusters
  readonly idleTimeoutMs: number
  readonly accessLog: readonly AccessLogPlan[]
}

export interface HttpPlan {
  readonly kind: 'http'
  readonly statPrefix: string
  readonly routes: RouteSource
  /** In their order, the router last and left out. */
  readonly filters: readonly HttpFilterPlan[]
  /** What happens to `x-forwarded-client-cert`. */
  readonly clientCertificateHeader: 'sanitize' | 'sanitize-set' | 'append' | 'forward-only'
  readonly serverName: string
  readonly useRemoteAddress: boolean
  readonly trustedHops: number
  readonly normalizePath: boolean
  readonly mergeSlashes: boolean
  readonly escapedSlashes: 'keep' | 'reject' | 'unescape-redirect' | 'unescape-forward'
  /** Remove `:port` from the host before routing. */
  readonly stripPort: boolean
  readonly idleTimeoutMs: number
  readonly streamIdleTimeoutMs: number
  readonly headersTimeoutMs: number
  readonly drainTimeoutMs: number
  readonly headerBytesMax: number
  /** What clients speak; absent: what their first bytes, or ALPN, say. */
  readonly codec?: 'http1' | 'http2'
  /** What HTTP/2 clients may send at once; absent: the proxy's own bounds. */
  readonly http2?: { readonly concurrentStreamsMax?: number; readonly streamWindow?: number; readonly connectionWindow?: number }
  readonly tracing: TracingPlan | undefined
  readonly accessLog: readonly AccessLogPlan[]
}

/** How a request finds its route table. */
export type RouteSource =
  | { readonly kind: 'named'; readonly name: string }
  | { readonly kind: 'inline'; readonly table: RouteTable }
  /** Scoped routes: `scopeKey` makes the key, the scope table names the route table. `fallback`: an unknown key is tried lower-case, then `*` (what the Lua filter does in Envoy). */
  | { readonly kind: 'scoped'; readonly port: string; readonly splitAuthorityAtColon: boolean; readonly fallback: boolean }

/** ScopedRouteConfiguration: scope key (`8080|order-service`) → route table name. */
export interface ScopePlan {
  readonly name: string
  readonly version: string
  readonly key: string
  readonly table: string
}

export interface TracingPlan {
  /** `http://HOST:PORT/v1/traces` */
  readonly endpoint: string
  readonly serviceName: string
  /** Percent of requests without an incoming decision that are sampled. */
  readonly samplingPercent: number
}

/** One log line's fields in order; each is text with Envoy's command operators (`%RESPONSE_CODE%`), compiled by proxy/telemetry. */
export interface AccessLogPlan {
  /** `/dev/stdout`, `/dev/stderr` or a file. */
  readonly path: string
  readonly json: boolean
  readonly fields: readonly { readonly name: string; readonly format: string }[]
}

export type HttpFilterPlan =
  | { readonly kind: 'rbac'; readonly name: string; readonly policy: RbacPlan }
  | { readonly kind: 'fault'; readonly name: string; readonly fault: FaultPlan }
  | { readonly kind: 'cors'; readonly name: string }
  | { readonly kind: 'jwt'; readonly name: string; readonly jwt: JwtPlan }
  | { readonly kind: 'ext-authz'; readonly name: string; readonly check: ExtAuthzPlan }
  | { readonly kind: 'local-rate-limit'; readonly name: string; readonly tokensMax: number; readonly tokensPerFill: number; readonly fillIntervalMs: number }

/** Tokens that requests must or may bear (envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication). */
export interface JwtPlan {
  readonly providers: ReadonlyMap<string, JwtProviderPlan>
  /** The first that matches decides; none: the request passes. */
  readonly rules: readonly { readonly words: string; matches(request: RequestHead): boolean; readonly requirement: JwtRequirement | undefined }[]
  /** Named requirements, which a route may ask for. */
  readonly requirements: ReadonlyMap<string, JwtRequirement>
  readonly bypassCorsPreflight: boolean
  /** Neither body nor `www-authenticate` on a refusal. */
  readonly stripFailureResponse: boolean
}

export type JwtRequirement =
  | { readonly kind: 'provider'; readonly provider: string; readonly audiences: readonly string[] | undefined }
  | { readonly kind: 'any' | 'all'; readonly of: readonly JwtRequirement[] }
  | { readonly kind: 'allow-missing' }
  | { readonly kind: 'allow-missing-or-failed' }

export interface JwtProviderPlan {
  readonly name: string
  /** Empty: any. */
  readonly issuer: string
  /** Empty: any. */
  readonly audiences: readonly string[]
  readonly subject: StringMatchPlan | undefined
  readonly requireExpiration: boolean
  /** 0: no bound. */
  readonly lifetimeMaxMs: number
  readonly clockSkewMs: number
  readonly fromHeaders: readonly { readonly name: string; readonly prefix: string }[]
  readonly fromParams: readonly string[]
  readonly fromCookies: readonly string[]
  /** The token goes on to the application. */
  readonly forward: boolean
  /** Header that gets the payload, base64url; empty: none. */
  readonly payloadHeader: string
  readonly payloadPadded: boolean
  readonly claimHeaders: readonly { readonly header: string; readonly claim: readonly string[] }[]
  /** Claims become known to RBAC and to routes. */
  readonly tellsClaims: boolean
  /** Claims of words with spaces between, which count as lists. */
  readonly spacedClaims: readonly string[]
  /** Choose the route anew, now that claims are known. */
  readonly reroutes: boolean
  readonly keys: JwtKeysPlan
}

export type JwtKeysPlan =
  | { readonly kind: 'local'; readonly jwks: string }
  | { readonly kind: 'remote'; readonly uri: string; readonly cluster: string; readonly timeoutMs: number; readonly cacheMs: number }

/** A service that says yes or no to each request (envoy.extensions.filters.http.ext_authz.v3.ExtAuthz). */
export interface ExtAuthzPlan {
  readonly service:
    | { readonly kind: 'grpc'; readonly cluster: string; readonly authority: string; readonly metadata: readonly { readonly name: string; readonly value: string }[] }
    | {
        readonly kind: 'http'
        readonly cluster: string
        readonly pathPrefix: string
        readonly headersToAdd: readonly { readonly name: string; readonly value: string }[]
        /** Which of the service's answer go on upstream when it says yes; empty: none. */
        readonly upstreamHeaders: readonly StringMatchPlan[]
        readonly upstreamHeadersToAppend: readonly StringMatchPlan[]
        /** Which go to the client when it says no; empty: all but the hop's own. */
        readonly clientHeaders: readonly StringMatchPlan[]
        readonly clientHeadersOnSuccess: readonly StringMatchPlan[]
      }
  readonly timeoutMs: number
  /** The service does not answer: let pass. */
  readonly failsOpen: boolean
  readonly failureModeHeader: boolean
  readonly statusOnError: number
  /** Undefined: for gRPC all, for HTTP what Envoy always sends. */
  readonly allowedHeaders: readonly StringMatchPlan[] | undefined
  readonly disallowedHeaders: readonly StringMatchPlan[]
  /** Send the body too, up to so many bytes. */
  readonly body: { readonly bytesMax: number; readonly partial: boolean; readonly packAsBytes: boolean } | undefined
  readonly reroutes: boolean
  readonly includePeerCertificate: boolean
  /** Only where a shadow RBAC filter before noted such a policy (Istio's CUSTOM policies). */
  readonly enabledBy: { readonly key: string; readonly policy: StringMatchPlan } | undefined
}

/** What one route says of a filter. */
export interface RouteJwt {
  readonly disabled: boolean
  readonly requirement: string | undefined
}

export interface RouteExtAuthz {
  readonly disabled: boolean
  readonly contextExtensions: Readonly<Record<string, string>>
}

/** Envoy's RBAC, compiled. `shadow` only counts and logs. */
export interface RbacPlan {
  readonly action: 'allow' | 'deny' | 'log'
  /** In order of name. */
  readonly policies: readonly RbacPolicyPlan[]
  readonly shadow: boolean
  /** Under which key a shadow filter notes the policy that matched, for filters behind it: `istio_ext_authz_shadow_effective_policy_id`. */
  readonly shadowKey?: string
}

export interface RbacPolicyPlan {
  /** As sent: `ns[prod]-policy[payment-authz]-rule[0]`. */
  readonly name: string
  readonly origin: Origin | undefined
  readonly permission: RequestPredicate
  readonly principal: RequestPredicate
}

/** A condition over request and peer, with words for explain. For TCP the request is undefined: HTTP attributes then do not match. */
export interface RequestPredicate {
  readonly words: string
  matches(request: RequestHead | undefined, peer: PeerInfo): boolean
}

export interface FaultPlan {
  readonly delayMs: number
  readonly delayPercent: number
  readonly abortStatus: number
  /** An abort that answers a gRPC status (grpc-status, HTTP 200) instead of `abortStatus`. */
  readonly abortGrpcStatus?: number
  readonly abortPercent: number
}

// ---- routes

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
  readonly extAuthz?: RouteExtAuthz
  /** Span name, `order-service.prod.svc.cluster.local:8080/*`. */
  readonly operation: string
}

export interface ForwardAction {
  readonly kind: 'forward'
  readonly clusters: WeightedClusters
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
}

// ---- clusters and endpoints

export interface ClusterPlan {
  readonly name: string
  readonly version: string
  readonly origin: Origin | undefined
  readonly discovery: 'eds' | 'static' | 'strict-dns' | 'logical-dns' | 'original-destination'
  /** The ClusterLoadAssignment's name, for eds. */
  readonly endpointsName: string
  /** The endpoints themselves, for static and strict-dns (address is then a host name). */
  readonly inlineEndpoints: EndpointsPlan | undefined
  readonly connectTimeoutMs: number
  readonly balancer: 'round-robin' | 'least-request' | 'random' | 'ring-hash' | 'maglev' | 'cluster-provided'
  readonly choiceCount: number
  /** Points of a ring (at least) or slots of a Maglev table; absent: Envoy's default. */
  readonly hashTableSize?: number
  /** Points of a ring at most; absent: Envoy's default. */
  readonly ringSizeMax?: number
  /** The hash of a ring's points; absent: xxHash64. */
  readonly ringHash?: 'xx' | 'murmur2'
  /** Rings and tables know endpoints by their hostname instead of their address. */
  readonly hashesHostname?: boolean
  /** False: weights of localities do not count (no locality_weighted_lb_config). */
  readonly localityWeighted?: boolean
  readonly limits: ClusterLimits
  /** How often names are resolved anew, for DNS; absent: Envoy's 5 s. */
  readonly dnsRefreshMs?: number
  readonly healthChecks?: readonly HealthCheckPlan[]
  readonly slowStart?: SlowStartPlan
  readonly outlier: OutlierPlan | undefined
  /** First match by the endpoint's transport metadata wins; the last has no conditions. `tls: undefined` is plaintext. */
  readonly transports: readonly { readonly name: string; readonly match: Readonly<Record<string, string>>; readonly tls: ClientTlsPlan | undefined }[]
  /** `alpn`: what the peer chooses in the TLS handshake; HTTP/1.1 in plaintext. */
  readonly protocol: 'http1' | 'http2' | 'as-downstream' | 'alpn'
  /** 0: no bound. */
  readonly requestsPerConnectionMax: number
  /** HTTP/2 PING on connections, and how long its answer may take; absent: none. */
  readonly ping?: { readonly intervalMs: number; readonly timeoutMs: number }
  readonly idleTimeoutMs: number
  /** Below this percent of healthy hosts, balance over all. 0: never. */
  readonly panicThresholdPercent: number
  /** For metrics and spans. */
  readonly destination: { readonly host: string; readonly name: string; readonly namespace: string; readonly subset: string; readonly port: number }
}

/** Envoy's circuit breakers at default priority. */
export interface ClusterLimits {
  readonly connectionsMax: number
  readonly pendingMax: number
  readonly requestsMax: number
  readonly retriesMax: number
  /** Instead of `retriesMax`: so many percent of what is under way, but never fewer than the minimum. */
  readonly retryBudget?: { readonly percent: number; readonly minConcurrency: number }
}

/** How endpoints are asked whether they are well. */
export interface HealthCheckPlan {
  readonly how:
    | {
        readonly kind: 'http'
        /** Empty: the cluster's name. */
        readonly host: string
        readonly path: string
        readonly method: string
        readonly headers: readonly { readonly name: string; readonly value: string }[]
        /** From `start` up to, not with, `end`. */
        readonly statuses: readonly { readonly start: number; readonly end: number }[]
      }
    /** Without bytes to send or to receive a connection is enough. */
    | { readonly kind: 'tcp'; readonly send: Uint8Array; readonly receive: readonly Uint8Array[] }
    | { readonly kind: 'grpc'; readonly service: string; readonly authority: string }
  readonly timeoutMs: number
  readonly intervalMs: number
  /** While no request has used the cluster. */
  readonly noTrafficIntervalMs: number
  readonly unhealthyIntervalMs: number
  /** So many in a row change the verdict; the very first check does at once. */
  readonly unhealthyThreshold: number
  readonly healthyThreshold: number
  /** 0: the endpoint's own. */
  readonly port: number
}

/** New endpoints get their full share only after a while. */
export interface SlowStartPlan {
  readonly windowMs: number
  /** 1: linear. Above: faster at first. */
  readonly aggression: number
  readonly minWeightPercent: number
}

export interface OutlierPlan {
  readonly consecutive5xx: number
  readonly consecutiveGatewayFailure: number
  readonly consecutiveLocalOrigin: number
  readonly splitLocalOrigin: boolean
  readonly intervalMs: number
  readonly baseEjectionMs: number
  readonly maxEjectionMs: number
  readonly maxEjectionPercent: number
  readonly minHealthPercent: number
  /** Hosts that do worse than the others by so many standard deviations; absent: off. */
  readonly successRate?: { readonly hostsMin: number; readonly requestsMin: number; readonly deviations: number }
  /** Hosts with so many percent of failures; absent: off. */
  readonly failurePercentage?: { readonly threshold: number; readonly hostsMin: number; readonly requestsMin: number }
  /** Added to each ejection, drawn anew, so that hosts do not come back together. */
  readonly ejectionJitterMs?: number
  /** One host may go whatever `maxEjectionPercent` says. */
  readonly alwaysEjectOne?: boolean
}

export interface ClientTlsPlan {
  /** Secret name of our certificate; undefined: none is shown. */
  readonly certificate: string | undefined
  /** Undefined: the runtime's own roots, unless `unverified`. */
  readonly trust: string | undefined
  /** Whatever certificate the server shows will do: what a TLS context without a validation context says to Envoy. Never merely left out. */
  readonly unverified?: boolean
  /** The server must carry one of these SANs; empty: any that the roots vouch for. */
  readonly allowedSans: readonly StringMatchPlan[]
  readonly sni: string
  readonly alpn: readonly string[]
}

export interface EndpointsPlan {
  /** ClusterLoadAssignment's name. */
  readonly name: string
  readonly version: string
  /** Ordered by priority. */
  readonly localities: readonly { readonly locality: string; readonly weight: number; readonly priority: number; readonly endpoints: readonly EndpointPlan[] }[]
}

export interface EndpointPlan {
  /** `127.0.1.2:15006`: its key across updates. */
  readonly key: string
  readonly address: string
  readonly port: number
  readonly weight: number
  readonly health: 'healthy' | 'unhealthy' | 'draining'
  readonly hostname: string
  /** Metadata `envoy.transport_socket_match`. */
  readonly transport: Readonly<Record<string, string>>
  /** Metadata `istio.workload`: `name;namespace;service;version;cluster`, split. */
  readonly workload: { readonly name: string; readonly namespace: string; readonly service: string; readonly version: string; readonly cluster: string } | undefined
}

export type SecretPlan =
  | { readonly kind: 'certificate'; readonly name: string; readonly version: string; readonly chainPem: string; readonly keyPem: string }
  | { readonly kind: 'trust'; readonly name: string; readonly version: string; readonly rootsPem: string }
