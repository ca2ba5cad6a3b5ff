import type { MetricRulePlan } from '../telemetry/metric-rules.ts'
import type { ExtAuthzPlan } from './ext-authz.ts'
import type { JwtPlan } from './jwt.ts'
import type { LocalRateLimitPlan } from './local-rate-limit.ts'
import type { RateLimitPlan } from './rate-limit.ts'
import type { RbacPlan } from './rbac.ts'
import type { FaultPlan, RouteTable } from './route.ts'

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
  /** Takes CONNECT, where a route does. */
  readonly connects?: boolean
  /** What clients speak; absent: what their first bytes, or ALPN, say. */
  readonly codec?: 'http1' | 'http2'
  /** What HTTP/2 clients may send at once; absent: the proxy's own bounds. */
  readonly http2?: { readonly concurrentStreamsMax?: number; readonly streamWindow?: number; readonly connectionWindow?: number }
  readonly tracing: TracingPlan | undefined
  readonly accessLog: readonly AccessLogPlan[]
  /** Changes to what is counted; absent: none. */
  readonly metricRules?: readonly MetricRulePlan[]
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
  readonly serviceName: string
  /** Percent of requests without an incoming decision that are sampled. */
  readonly samplingPercent: number
  /** All of them are, whatever the percentage and their ids. */
  readonly passesIds?: true
  /** No spans are made; their context goes on. */
  readonly silent?: true
  /** Spans are made; their context goes no further, and what a client sent passes as it came. */
  readonly keepsContext?: true
  /** Absent: the one that the proxy was started with. */
  readonly collector?: CollectorPlan
  /** Characters of a path in a span; absent: all. */
  readonly pathLengthMax?: number
  readonly tags?: readonly SpanTagPlan[]
}

/** A cluster that takes spans. */
export interface CollectorPlan {
  readonly kind: 'otlp-http' | 'otlp-grpc' | 'zipkin'
  readonly cluster: string
  readonly authority: string
  /** Of HTTP. */
  readonly path: string
  readonly timeoutMs: number
}

/** What a span says beside its own. `format` has Envoy's command operators. */
export type SpanTagPlan =
  | { readonly tag: string; readonly kind: 'literal' | 'format'; readonly value: string }
  | { readonly tag: string; readonly kind: 'environment' | 'header'; readonly name: string; readonly otherwise: string }

/** One log line's fields in order; each is text with Envoy's command operators (`%RESPONSE_CODE%`), compiled by proxy/telemetry. */
export interface AccessLogPlan {
  /** `/dev/stdout`, `/dev/stderr` or a file. */
  readonly path: string
  readonly json: boolean
  readonly fields: readonly { readonly name: string; readonly format: string }[]
  /** What has no value leaves nothing in text, and in JSON not even its field; absent: a dash, and null. */
  readonly omitsEmpty?: true
  /** A line is written of what this expression of CEL is true of; absent: of all. */
  readonly filter?: string
  /** A service that takes it by gRPC, and no file does; of OTLP the fields are the body. */
  readonly service?: LogServicePlan
}

/** A cluster that takes access logs: by OTLP, or as Envoy's access log service (ALS) does entries of HTTP, or of TCP. */
export interface LogServicePlan {
  readonly kind: 'otlp' | 'http' | 'tcp'
  readonly cluster: string
  readonly authority: string
  readonly logName: string
  readonly timeoutMs: number
  /** Of OTLP. */
  readonly attributes: readonly { readonly name: string; readonly format: string }[]
  /** Of ALS, in lower case. */
  readonly requestHeaders: readonly string[]
  readonly responseHeaders: readonly string[]
}

export type HttpFilterPlan =
  | { readonly kind: 'rbac'; readonly name: string; readonly policy: RbacPlan }
  | { readonly kind: 'fault'; readonly name: string; readonly fault: FaultPlan }
  | { readonly kind: 'cors'; readonly name: string }
  /** Translates gRPC-Web. `byDefault`: on routes that say nothing of it. */
  | { readonly kind: 'grpc-web'; readonly name: string; readonly byDefault: boolean }
  | { readonly kind: 'jwt'; readonly name: string; readonly jwt: JwtPlan }
  | { readonly kind: 'ext-authz'; readonly name: string; readonly check: ExtAuthzPlan }
  | { readonly kind: 'rate-limit'; readonly name: string; readonly limit: RateLimitPlan }
  | { readonly kind: 'local-rate-limit'; readonly name: string; readonly limit: LocalRateLimitPlan }
