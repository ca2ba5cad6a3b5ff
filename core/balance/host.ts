import type { EndpointPlan } from '../plan/endpoints.ts'
import { newOutlierState, type OutlierState } from './outlier.ts'

/** An endpoint as it lives in a proxy: kept across updates of its cluster's endpoints by `plan.key`, so that counts and ejections survive them. */
export interface HostState {
  /** Replaced when an update says something new of the same address. */
  plan: EndpointPlan
  /** Requests under way. */
  active: number
  /** 0: not ejected. */
  ejectedUntilMs: number
  readonly outlier: OutlierState
  /** By active health checks; false where there are none. */
  failsCheck: boolean
  /** Share of its weight that it may have while it warms up, 0..1. */
  ramp: number
  /** Average of how long answers took, and as of when: of the balancer that goes by it alone (peak-ewma.ts). */
  latencyMs?: number
  latencyAtMs?: number
}

export function hostState(plan: EndpointPlan): HostState {
  return { plan, active: 0, ejectedUntilMs: 0, outlier: newOutlierState(), failsCheck: false, ramp: 1 }
}
