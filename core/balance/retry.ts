import type { ClusterLimits } from '../plan/cluster.ts'
import type { RetryPlan } from '../plan/route.ts'

/** Conditions of `retry_on` and `retry_grpc_on` as bits (docs: envoy router filter, x-envoy-retry-on). */
export const RetryOn = {
  '5xx': 1 << 0,
  'gateway-error': 1 << 1,
  reset: 1 << 2,
  'reset-before-request': 1 << 3,
  'connect-failure': 1 << 4,
  'retriable-4xx': 1 << 5,
  'refused-stream': 1 << 6,
  'retriable-status-codes': 1 << 7,
  'envoy-ratelimited': 1 << 8,
  cancelled: 1 << 9,
  'deadline-exceeded': 1 << 10,
  internal: 1 << 11,
  'resource-exhausted': 1 << 12,
  unavailable: 1 << 13,
} as const

export interface RetryConditions {
  readonly flags: number
  readonly statusCodes: readonly number[]
  /** What Weft does not know. */
  readonly unknown: readonly string[]
}

/**
 * Reads `5xx,reset,503`: Envoy's conditions, and as in Istio a bare status code, which stands for `retriable-status-codes` with that code.
 * `http3-post-connect-failure` is dropped: there is no HTTP/3 upstream.
 */
export function parseRetryOn(text: string): RetryConditions {
  let flags = 0
  const statusCodes: number[] = []
  const unknown: string[] = []
  for (const part of text.split(',')) {
    const word = part.trim()
    if (word === '' || word === 'http3-post-connect-failure') continue
    if (isCondition(word)) flags |= RetryOn[word]
    else if (/^[1-5]\d\d$/.test(word)) {
      flags |= RetryOn['retriable-status-codes']
      statusCodes.push(Number(word))
    } else unknown.push(word)
  }
  return { flags, statusCodes, unknown }
}

function isCondition(word: string): word is keyof typeof RetryOn {
  return Object.hasOwn(RetryOn, word)
}

/** How a try ended: with response headers, or without any. */
export interface TryOutcome {
  readonly status?: number
  /** `reset-before-request`: the connection broke before a byte of this request was written. */
  readonly reset?: 'connect-failure' | 'refused' | 'reset' | 'reset-before-request' | 'per-try-timeout'
  /** Of a response that is trailers only: then no message was seen. */
  readonly grpcStatus?: number
  /** The response bore `x-envoy-ratelimited`. */
  readonly rateLimited?: boolean
}

/**
 * Whether the policy lets this outcome be tried again; counting tries and budgets is the caller's. Envoy's rules: a try without a response counts as 5xx and as
 * gateway-error, a timeout of one try is a reset, and the method plays no part (who configures retries for POST is taken at their word).
 */
export function shouldRetry(plan: RetryPlan, outcome: TryOutcome): boolean {
  const { on } = plan
  if (outcome.reset !== undefined) return retriesReset(on, outcome.reset)
  if (outcome.rateLimited === true) return (on & RetryOn['envoy-ratelimited']) !== 0
  const status = outcome.status ?? 0
  if (status >= 500 && status <= 599 && (on & RetryOn['5xx']) !== 0) return true
  if (status >= 502 && status <= 504 && (on & RetryOn['gateway-error']) !== 0) return true
  if (status === 409 && (on & RetryOn['retriable-4xx']) !== 0) return true
  if ((on & RetryOn['retriable-status-codes']) !== 0 && plan.statusCodes.has(status)) return true
  return outcome.grpcStatus !== undefined && (on & grpcCondition(outcome.grpcStatus)) !== 0
}

const WITHOUT_RESPONSE = RetryOn['5xx'] | RetryOn['gateway-error'] | RetryOn.reset

function retriesReset(on: number, reset: NonNullable<TryOutcome['reset']>): boolean {
  if ((on & WITHOUT_RESPONSE) !== 0) return true
  switch (reset) {
    case 'connect-failure':
      return (on & (RetryOn['connect-failure'] | RetryOn['reset-before-request'])) !== 0
    case 'reset-before-request':
      return (on & RetryOn['reset-before-request']) !== 0
    case 'refused':
      return (on & RetryOn['refused-stream']) !== 0
    case 'reset':
    case 'per-try-timeout':
      return false
  }
}

function grpcCondition(status: number): number {
  switch (status) {
    case 1:
      return RetryOn.cancelled
    case 4:
      return RetryOn['deadline-exceeded']
    case 8:
      return RetryOn['resource-exhausted']
    case 13:
      return RetryOn.internal
    case 14:
      return RetryOn.unavailable
    default:
      return 0
  }
}

/** Pause before the `attempt`-th retry (1 is the first): uniform below base × 2^(attempt − 1), capped. `draw` is uniform in [0, 1). */
export function retryDelayMs(plan: RetryPlan, attempt: number, draw: number): number {
  return draw * Math.min(plan.backoffMaxMs, plan.backoffBaseMs * 2 ** (attempt - 1))
}

/** How many retries may be under way at once: a bound, or with a budget a share of all that is under way, pending included (envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget). */
export function retriesAllowed(limits: ClusterLimits, underWay: number): number {
  const budget = limits.retryBudget
  return budget === undefined ? limits.retriesMax : Math.max(budget.minConcurrency, Math.floor((budget.percent * underWay) / 100))
}
