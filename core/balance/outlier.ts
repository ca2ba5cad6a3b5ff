import type { OutlierPlan } from '../plan/cluster.ts'
import type { HostState } from './host.ts'

/** What one host did lately, as Envoy's outlier detection counts it. */
export interface OutlierState {
  consecutive5xx: number
  consecutiveGatewayFailure: number
  consecutiveLocalOrigin: number
  /** Grows with each ejection and shrinks by one each interval in which the host behaved. */
  ejections: number
  /** In this interval. */
  requests: number
  failures: number
}

/** How a request to a host ended: with a status, or with a failure on our side of the wire. */
export type HostOutcome = number | 'connect-failure' | 'timeout' | 'reset'

export type EjectionCause = '5xx' | 'gateway-failure' | 'local-origin'

export function newOutlierState(): OutlierState {
  return { consecutive5xx: 0, consecutiveGatewayFailure: 0, consecutiveLocalOrigin: 0, ejections: 0, requests: 0, failures: 0 }
}

// Without split_external_local_origin_errors Envoy counts local failures as statuses.
const STATUS_OF = { 'connect-failure': 503, timeout: 504, reset: 503 } as const

/**
 * Counts one outcome. Answers the cause when a threshold is reached just now: the caller then asks `eject`.
 * A threshold of 0 is off.
 */
export function recordResult(plan: OutlierPlan, state: OutlierState, outcome: HostOutcome): EjectionCause | undefined {
  state.requests += 1
  if (typeof outcome !== 'number' || outcome >= 500) state.failures += 1
  if (typeof outcome !== 'number' && plan.splitLocalOrigin) {
    state.consecutiveLocalOrigin += 1
    return reached(state.consecutiveLocalOrigin, plan.consecutiveLocalOrigin) ? 'local-origin' : undefined
  }
  const status = typeof outcome === 'number' ? outcome : STATUS_OF[outcome]
  if (typeof outcome === 'number') state.consecutiveLocalOrigin = 0
  if (status < 500) {
    state.consecutive5xx = 0
    state.consecutiveGatewayFailure = 0
    return undefined
  }
  state.consecutive5xx += 1
  state.consecutiveGatewayFailure = status >= 502 && status <= 504 ? state.consecutiveGatewayFailure + 1 : 0
  if (reached(state.consecutiveGatewayFailure, plan.consecutiveGatewayFailure)) return 'gateway-failure'
  return reached(state.consecutive5xx, plan.consecutive5xx) ? '5xx' : undefined
}

function reached(count: number, threshold: number): boolean {
  return threshold > 0 && count >= threshold
}

/**
 * Ejects a host for base × times ejected (and jitter, by `draw` in [0, 1)), unless too many are out already. True when it did: rebuild the pick set.
 * Counts start anew either way, so that a host which may not be ejected now is judged again later.
 */
export function eject(plan: OutlierPlan, host: HostState, hosts: Iterable<HostState>, nowMs: number, draw = 0): boolean {
  host.outlier.consecutive5xx = 0
  host.outlier.consecutiveGatewayFailure = 0
  host.outlier.consecutiveLocalOrigin = 0
  if (host.ejectedUntilMs !== 0) return false
  let all = 0
  let out = 0
  for (const one of hosts) {
    all += 1
    if (one.ejectedUntilMs !== 0) out += 1
  }
  const within = (100 * (out + 1)) / all <= plan.maxEjectionPercent
  if (!within && !(out === 0 && plan.alwaysEjectOne === true)) return false
  host.outlier.ejections += 1
  host.ejectedUntilMs = nowMs + Math.min(plan.baseEjectionMs * host.outlier.ejections, Math.max(plan.baseEjectionMs, plan.maxEjectionMs)) + draw * (plan.ejectionJitterMs ?? 0)
  return true
}

/**
 * To be called each `intervalMs`, before `sweep`: ejects hosts that did worse than the others in the interval (envoy docs: arch_overview/upstream/outlier#success-rate), and
 * those with too many failures; then counts anew. True when any went: rebuild the pick set.
 */
export function judgeRates(plan: OutlierPlan, hosts: readonly HostState[], nowMs: number, draw: () => number): boolean {
  const bad = new Set<HostState>()
  const { successRate, failurePercentage } = plan
  if (successRate !== undefined) {
    const rated = hosts.filter((host) => host.ejectedUntilMs === 0 && host.outlier.requests >= Math.max(1, successRate.requestsMin))
    if (rated.length > 0 && rated.length >= successRate.hostsMin) {
      const mean = rated.reduce((sum, host) => sum + successOf(host), 0) / rated.length
      const deviation = Math.sqrt(rated.reduce((sum, host) => sum + (successOf(host) - mean) ** 2, 0) / rated.length)
      for (const host of rated) if (successOf(host) < mean - successRate.deviations * deviation) bad.add(host)
    }
  }
  if (failurePercentage !== undefined) {
    const rated = hosts.filter((host) => host.ejectedUntilMs === 0 && host.outlier.requests >= Math.max(1, failurePercentage.requestsMin))
    if (rated.length >= failurePercentage.hostsMin) for (const host of rated) if (100 - successOf(host) >= failurePercentage.threshold) bad.add(host)
  }
  let changed = false
  for (const host of bad) if (eject(plan, host, hosts, nowMs, draw())) changed = true
  for (const host of hosts) {
    host.outlier.requests = 0
    host.outlier.failures = 0
  }
  return changed
}

/** Percent. */
const successOf = ({ outlier }: HostState): number => (100 * (outlier.requests - outlier.failures)) / outlier.requests

/** To be called each `intervalMs`: takes back hosts whose time is over, or all once detection is switched off (no plan). True when any came back: rebuild the pick set. */
export function sweep(plan: OutlierPlan | undefined, hosts: Iterable<HostState>, nowMs: number): boolean {
  let changed = false
  for (const host of hosts) {
    if (host.ejectedUntilMs === 0) {
      if (host.outlier.ejections > 0) host.outlier.ejections -= 1
    } else if (plan === undefined || nowMs >= host.ejectedUntilMs) {
      host.ejectedUntilMs = 0
      changed = true
    }
  }
  return changed
}
