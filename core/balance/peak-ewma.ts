import type { PickGroup } from './locality.ts'
import type { HostState } from './host.ts'

/**
 * The type by which a cluster's `load_balancing_policy` names this balancer, in an xds.type.v3.TypedStruct. Who does not know it, such as Envoy, takes the next policy in the list.
 */
export const PEAK_EWMA = 'weft.load_balancing.v1.PeakEwma'

/** How long a slow answer is remembered: after so much time it counts for 1/e. */
const DECAY_MS = 10_000
/** A host of which nothing is known yet is tried, and not by everybody at once: its requests under way count as so slow. */
const UNKNOWN_MS = 1000

/**
 * An answer took so long. What is slower than the average counts at once and whole, what is faster by and by (Finagle's peak EWMA): one slow answer tells more than many fast ones.
 * A failure says nothing of how fast a host serves, so it never makes one look faster.
 */
export function observeLatency(host: HostState, tookMs: number, succeeded: boolean, nowMs: number): void {
  const before = latencyOf(host, nowMs)
  if (tookMs >= before) host.latencyMs = tookMs
  else if (succeeded) {
    const kept = Math.exp(-(nowMs - (host.latencyAtMs ?? nowMs)) / DECAY_MS)
    host.latencyMs = (host.latencyMs ?? 0) * kept + tookMs * (1 - kept)
  } else host.latencyMs = before
  host.latencyAtMs = nowMs
}

/** The average as of now: what nobody asks any more is forgotten, so that a host that was slow is tried again. */
function latencyOf(host: HostState, nowMs: number): number {
  const { latencyMs = 0, latencyAtMs = nowMs } = host
  return latencyMs === 0 ? 0 : latencyMs * Math.exp(-(nowMs - latencyAtMs) / DECAY_MS)
}

/** What one more request is expected to wait for, per weight. */
function costOf(host: HostState, nowMs: number): number {
  const latencyMs = latencyOf(host, nowMs)
  const cost = latencyMs === 0 && host.active > 0 ? UNKNOWN_MS * host.active : latencyMs * (host.active + 1)
  return cost / (host.plan.weight * host.ramp || 1)
}

/** The cheaper of two different hosts that are drawn; draws are uniform in [0, 1). */
export function pickPeakEwma({ hosts }: PickGroup, nowMs: number, draw1: number, draw2: number): HostState | undefined {
  const count = hosts.length
  if (count <= 1) return hosts[0]
  const at = Math.floor(draw1 * count)
  const one = hosts[at]
  const other = hosts[(at + 1 + Math.floor(draw2 * (count - 1))) % count]
  return one === undefined || other === undefined || costOf(one, nowMs) <= costOf(other, nowMs) ? one : other
}
