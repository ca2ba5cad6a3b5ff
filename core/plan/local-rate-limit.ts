import type { DescriptorEntry, RateLimitActions } from './rate-limit.ts'
import type { HeaderOperations } from './route.ts'

/** Starts full; `tokensPerFill` come back in each interval. */
export interface BucketPlan {
  readonly tokensMax: number
  readonly tokensPerFill: number
  readonly fillIntervalMs: number
}

/** A limit that a proxy keeps by itself (envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit), of a listener, a virtual host or a route. */
export interface LocalRateLimitPlan {
  /** Absent: only descriptors limit. */
  readonly bucket: BucketPlan | undefined
  /** Requests with these entries have a bucket of their own. An empty value stands for each there is, and each has its own. */
  readonly descriptors: readonly { readonly entries: readonly DescriptorEntry[]; readonly bucket: BucketPlan }[]
  /** How many buckets an empty value makes at most; the one that was asked least recently goes. */
  readonly bucketsMax: number
  /** What describes a request; absent: what its route and virtual host say for this stage. */
  readonly actions: readonly RateLimitActions[] | undefined
  readonly stage: number
  /** Whether the virtual host's words count beside the route's: where the route has none, always, or never. */
  readonly virtualHost: 'override' | 'include' | 'ignore'
  /** A request with a descriptor of its own takes from the common bucket as well. */
  readonly alwaysTakesDefault: boolean
  /** Each client connection has its own buckets. */
  readonly perConnection: boolean
  readonly enabledPercent: number
  /** Of the requests that are too many. */
  readonly enforcedPercent: number
  readonly status: number
  readonly asResourceExhausted: boolean
  /** On answers to those that are refused. */
  readonly responseHeaders: HeaderOperations | undefined
  /** On those that are too many and let pass. */
  readonly requestHeaders: HeaderOperations | undefined
  /** Tell `x-ratelimit-limit`, `-remaining` and `-reset`. */
  readonly tellsQuota: boolean
}
