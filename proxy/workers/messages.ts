import type { ProxyNode } from '#core/workload/node.ts'
import type { Update } from '../ads/plan-cell.ts'
import type { WorkloadCertificate } from '../identity/certificate.ts'
import type { Limits } from '../overload/limits.ts'
import type { ClusterLoad, ClusterReport } from '../telemetry/reports.ts'

/** What a thread is told once, at its start. */
export interface WorkerData {
  readonly weftWorker: true
  readonly node: ProxyNode
  readonly principal: string
  readonly limits: Limits
  readonly environment: Readonly<Record<string, string | undefined>>
  /** What it takes over from a thread of the process before this one: descriptors of this process, its own from now on. */
  readonly sockets?: readonly { readonly key: string; readonly fd: number }[]
  /** In hex: tickets of TLS sessions are of the proxy, and not of a thread. */
  readonly ticketSecret: string
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'off'
}

/** What may be asked of a thread, and what it answers. */
export interface Answers {
  metrics: string
  clusters: ClusterReport[]
  loads: ClusterLoad[]
  flushed: undefined
  /** Descriptors of listening sockets, by what they are bound to. */
  sockets: { readonly key: string; readonly fd: number }[]
  'inbound-left': undefined
  drained: undefined
}

export type ToWorker =
  /** A response of the discovery stream, which the thread reads as the main one does: same order, same outcome. */
  | { readonly kind: 'update'; readonly update: Update }
  | { readonly kind: 'identity'; readonly certificate: WorkloadCertificate }
  | { readonly kind: 'ask'; readonly id: number; readonly for: keyof Answers; readonly withinMs: number; readonly announceMs: number }

export type FromWorker =
  /** The first full configuration is in force here. */
  | { readonly kind: 'warm' }
  | { readonly kind: 'answer'; readonly id: number; readonly value: Answers[keyof Answers] }
