import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import type { RetryPlan } from '../plan/route.ts'
import { parseRetryOn, retryDelayMs, shouldRetry, type TryOutcome, retriesAllowed } from './retry.ts'

function plan(text: string): RetryPlan {
  const { flags, statusCodes } = parseRetryOn(text)
  return { on: flags, statusCodes: new Set(statusCodes), retriesMax: 2, perTryTimeoutMs: 0, backoffBaseMs: 25, backoffMaxMs: 250, avoidTriedHosts: false, hostSelectionAttemptsMax: 1 }
}

const cases: { on: string; yes: TryOutcome[]; no: TryOutcome[] }[] = [
  { on: '5xx', yes: [{ status: 500 }, { status: 503 }, { reset: 'connect-failure' }, { reset: 'reset' }, { reset: 'per-try-timeout' }, { reset: 'refused' }], no: [{ status: 404 }, { status: 200 }] },
  { on: 'gateway-error', yes: [{ status: 502 }, { status: 504 }, { reset: 'reset' }], no: [{ status: 500 }] },
  { on: 'reset', yes: [{ reset: 'reset' }, { reset: 'per-try-timeout' }, { reset: 'connect-failure' }], no: [{ status: 503 }] },
  { on: 'reset-before-request', yes: [{ reset: 'reset-before-request' }, { reset: 'connect-failure' }], no: [{ reset: 'reset' }, { reset: 'per-try-timeout' }] },
  { on: 'connect-failure', yes: [{ reset: 'connect-failure' }], no: [{ reset: 'reset' }, { reset: 'per-try-timeout' }, { status: 503 }] },
  { on: 'refused-stream', yes: [{ reset: 'refused' }], no: [{ reset: 'reset' }, { reset: 'connect-failure' }] },
  { on: 'retriable-4xx', yes: [{ status: 409 }], no: [{ status: 404 }, { status: 429 }] },
  { on: '503,404', yes: [{ status: 503 }, { status: 404 }], no: [{ status: 500 }] },
  { on: 'unavailable,cancelled', yes: [{ status: 200, grpcStatus: 14 }, { status: 200, grpcStatus: 1 }], no: [{ status: 200, grpcStatus: 13 }, { status: 200 }] },
  { on: 'envoy-ratelimited', yes: [{ status: 429, rateLimited: true }], no: [{ status: 429 }] },
  { on: '5xx', yes: [], no: [{ status: 503, rateLimited: true }] },
]
for (const { on, yes, no } of cases) {
  test(`${on} retries what Envoy retries, and nothing else`, () => {
    for (const outcome of yes) assert.equal(shouldRetry(plan(on), outcome), true, JSON.stringify(outcome))
    for (const outcome of no) assert.equal(shouldRetry(plan(on), outcome), false, JSON.stringify(outcome))
  })
}

test('words that are not known are told, and HTTP/3 is passed over', () => {
  assert.deepEqual(parseRetryOn('5xx, http3-post-connect-failure,constructor,nonsense').unknown, ['constructor', 'nonsense'])
})

test('a pause stays below base × 2^(attempt − 1) and below the bound', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 30 }), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (attempt, draw) => {
      const pause = retryDelayMs(plan('5xx'), attempt, draw)
      assert.ok(pause >= 0 && pause < Math.min(250, 25 * 2 ** (attempt - 1)) + Number.EPSILON)
    }),
  )
})

test('a retry budget is a share of what is under way, and never below its minimum', () => {
  const limits = { connectionsMax: 1, pendingMax: 1, requestsMax: 1, retriesMax: 7 }
  assert.equal(retriesAllowed(limits, 1000), 7)
  const budget = { ...limits, retryBudget: { percent: 20, minConcurrency: 3 } }
  assert.deepEqual([0, 10, 100].map((underWay) => retriesAllowed(budget, underWay)), [3, 3, 20])
})
