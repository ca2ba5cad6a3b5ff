import type { RequestHead } from '../route/request.ts'

/** A service that counts requests for many proxies and says which are too many (envoy.extensions.filters.http.ratelimit.v3.RateLimit). */
export interface RateLimitPlan {
  readonly domain: string
  readonly stage: number
  readonly service: { readonly cluster: string; readonly authority: string; readonly metadata: readonly { readonly name: string; readonly value: string }[] }
  readonly timeoutMs: number
  /** The service does not answer: 500 instead of letting pass. */
  readonly failsClosed: boolean
  readonly statusOnError: number
  readonly limitedStatus: number
  /** Answer gRPC with RESOURCE_EXHAUSTED instead of UNAVAILABLE. */
  readonly asResourceExhausted: boolean
  /** Tell `x-ratelimit-limit`, `-remaining` and `-reset` (draft-ietf-httpapi-ratelimit-headers-03). */
  readonly tellsQuota: boolean
  readonly marksLimited: boolean
}

/** One entry of a descriptor: what is counted together has all entries the same. */
export type DescriptorEntry = readonly [key: string, value: string]

/** What a route or virtual host tells the service of a request (envoy.config.route.v3.RateLimit). */
export interface RateLimitActions {
  readonly stage: number
  /** Undefined where an action has nothing to say: then nothing is told at all. `client` is the client's address. */
  describe(request: RequestHead, client: string): readonly DescriptorEntry[] | undefined
}

/** What a route says of its requests, and what its virtual host says. */
export interface RouteRateLimits {
  readonly own: readonly RateLimitActions[]
  /** As far as it is told to the service as well. */
  readonly virtualHost: readonly RateLimitActions[]
  /** All of it. */
  readonly ofHost: readonly RateLimitActions[]
  /** RouteAction.include_vh_rate_limits. */
  readonly includesHost: boolean
}
