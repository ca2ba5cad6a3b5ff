import type { EndpointsPlan } from './endpoints.ts'
import type { StringMatchPlan } from './listener.ts'
import type { Origin } from './origin.ts'

export interface ClusterPlan {
  readonly name: string
  readonly version: string
  readonly origin: Origin | undefined
  readonly discovery: 'eds' | 'static' | 'strict-dns' | 'logical-dns' | 'original-destination' | 'by-host'
  /** The ClusterLoadAssignment's name, for eds. */
  readonly endpointsName: string
  /** The endpoints themselves, for static and strict-dns (address is then a host name). */
  readonly inlineEndpoints: EndpointsPlan | undefined
  readonly connectTimeoutMs: number
  readonly balancer: 'round-robin' | 'least-request' | 'peak-ewma' | 'random' | 'ring-hash' | 'maglev' | 'cluster-provided'
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
  /** Connections begin with a PROXY protocol header of this version, before TLS. */
  readonly proxyHeader?: 1 | 2
  /** `alpn`: what the peer chooses in the TLS handshake; HTTP/1.1 in plaintext. */
  readonly protocol: 'http1' | 'http2' | 'as-downstream' | 'alpn'
  /** 0: no bound. */
  readonly requestsPerConnectionMax: number
  /** HTTP/2 PING on connections, and how long its answer may take; absent: none. */
  readonly ping?: { readonly intervalMs: number; readonly timeoutMs: number }
  /** Idle connections are probed after `idleMs`, then each `everyMs`, and end when so many in a row had no answer (SO_KEEPALIVE); absent: they are not. */
  readonly keepAlive?: { readonly idleMs: number; readonly everyMs: number; readonly probes: number }
  /** Streams at a time on one HTTP/2 connection, where they are fewer than the peer allows; absent: as many as it does. */
  readonly streamsMax?: number
  readonly idleTimeoutMs: number
  /** The longest life of a connection, after which it ends with its last request; absent: no bound. */
  readonly longestMs?: number
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
  /** Status codes that count as 500, all others as 200; absent: each counts as it is. */
  readonly errorCodes?: readonly number[]
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
