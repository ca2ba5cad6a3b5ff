import type { Runtime } from '../runtime.ts'
import type { ClusterLoad, ClusterReport } from '../telemetry/reports.ts'
import { mergeClusters } from './merge-clusters.ts'
import { mergeMetrics } from './merge-metrics.ts'
import type { Workers } from './workers.ts'

/** The data path as a whole, over all threads that carry it: what admin, load reports and a stop ask for. */
export interface Traffic {
  metricsText(): Promise<string>
  clusterReports(): Promise<ClusterReport[]>
  takeLoads(): Promise<ClusterLoad[]>
  flushLogs(): Promise<void>
  /** As the runtime's, of every thread. */
  drainInbound(withinMs: number): Promise<void>
  drain(graceMs: number, announceMs: number): Promise<void>
}

/** `threads`: those beside the main one, once there are any. */
export function trafficOf(runtime: Runtime, threads: () => Workers | undefined): Traffic {
  return {
    metricsText: async () => mergeMetrics([runtime.metricsText(), ...((await threads()?.ask('metrics')) ?? [])]),
    clusterReports: async () => mergeClusters([runtime.clusterReports(), ...((await threads()?.ask('clusters')) ?? [])]),
    takeLoads: async () => [...runtime.takeLoads(), ...((await threads()?.ask('loads')) ?? []).flat()],
    async flushLogs() {
      runtime.flushLogs()
      await threads()?.ask('flushed')
    },
    async drainInbound(withinMs) {
      await Promise.all([runtime.drainInbound(withinMs), threads()?.ask('inbound-left', withinMs)])
    },
    async drain(graceMs, announceMs) {
      await Promise.all([runtime.drain(graceMs, announceMs), threads()?.ask('drained', graceMs, announceMs)])
    },
  }
}
