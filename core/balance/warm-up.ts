import type { SlowStartPlan } from '../plan/cluster.ts'

/** The share of its weight that an endpoint has `ageMs` after it came (envoy docs: arch_overview/upstream/load_balancing/slow_start): (age ÷ window)^(1 ÷ aggression), never below the minimum. */
export function rampOf(plan: SlowStartPlan, ageMs: number): number {
  if (ageMs >= plan.windowMs) return 1
  return Math.max(plan.minWeightPercent / 100, Math.max(1, ageMs) ** (1 / plan.aggression) / plan.windowMs ** (1 / plan.aggression))
}
