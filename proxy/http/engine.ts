import type { Doors } from '#core/time/clock.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { Cluster } from '../upstream/cluster.ts'
import type { PlanSource } from '../sources.ts'
import type { TrafficMetrics } from '../telemetry/metrics.ts'
import type { Identifiers } from '../telemetry/identifiers.ts'
import type { Collectors } from '../telemetry/collectors.ts'
import type { LogServices } from '../telemetry/log-services.ts'
import type { SpanSink } from '../telemetry/span.ts'
import type { KeySets } from '../filter/key-sets.ts'
import type { LocalLimiters } from '../filter/local-limiters.ts'
import type { Callouts } from '../upstream/callout.ts'
import type { Mirror } from '../upstream/mirror.ts'
import type { Tunnel } from '../tcp/tunnel.ts'
import type { Overload } from '../overload/overload.ts'
import type { Exchange } from './exchange.ts'
import type { LiveSet } from './live-set.ts'
import type { HttpStack } from '../filter/stack.ts'

/** One client's connection, whatever it speaks. */
export interface ClientConnection {
  readonly stack: HttpStack
  /** The listener goes away: close when idle. */
  draining: boolean
  sweep(nowMs: number): void
  /** Ends it now. */
  destroy(): void
}

/** What all connections of one proxy share. */
export interface Engine {
  readonly doors: Doors
  readonly node: ProxyNode
  /** `x-envoy-peer-metadata-id: …` and `x-envoy-peer-metadata: …` with their CRLFs: who this proxy is, for mesh peers. */
  readonly peerLines: string
  readonly plans: PlanSource
  readonly metrics: TrafficMetrics
  readonly identifiers: Identifiers
  readonly onSpan: SpanSink | undefined
  /** Services of the mesh that take spans. */
  readonly collectors: Collectors
  /** And those that take access logs. */
  readonly logServices: LogServices
  /** Of the proxy's environment. */
  variable(name: string): string | undefined
  /** Keys of token issuers. */
  readonly keys: KeySets
  /** Buckets of local rate limits. */
  readonly limiters: LocalLimiters
  /** The proxy's own requests. */
  readonly callouts: Callouts
  cluster(name: string): Cluster | undefined
  /** Exchanges under way, for the sweep of deadlines. */
  readonly active: LiveSet<Exchange>
  readonly connections: Set<ClientConnection>
  readonly tunnels: Set<Tunnel>
  readonly mirrors: Set<Mirror>
  /** Monotonic milliseconds as of the last sweep: at most a tenth of a second old. */
  sweptMs: number
  /** `date: …` with its CRLF, made once a second (RFC 9110 §6.6.1). */
  dateLine: string
  /** Answers ask to close. */
  draining: boolean
  /** Idle connections are closed: the listeners are gone, and nobody who still believed in them comes any more. */
  closesIdle: boolean
  readonly overload: Overload
}
