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

export function trafficOf(runtime: Runtime, workers: Workers | undefined): Traffic {
  return {
    metricsText: async () => mergeMetrics([runtime.metricsText(), ...((await workers?.ask('metrics')) ?? [])]),
    clusterReports: async () => mergeClusters([runtime.clusterReports(), ...((await workers?.ask('clusters')) ?? [])]),
    takeLoads: async () => [...runtime.takeLoads(), ...((await workers?.ask('loads')) ?? []).flat()],
    async flushLogs() {
      runtime.flushLogs()
      await workers?.ask('flushed')
    },
    async drainInbound(withinMs) {
      await Promise.all([runtime.drainInbound(withinMs), workers?.ask('inbound-left', withinMs)])
    },
    async drain(graceMs, announceMs) {
      await Promise.all([runtime.drain(graceMs, announceMs), workers?.ask('drained', graceMs, announceMs)])
    },
  }
}
