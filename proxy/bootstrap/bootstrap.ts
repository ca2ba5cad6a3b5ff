import type { SpiffeId } from '#core/identity/spiffe.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { SocketAddress } from '#core/workload/workload.ts'
import type { ControlPlane } from '../ads/control-plane.ts'
import type { Limits } from '../overload/limits.ts'

/** All that a proxy knows before it has spoken to anyone. Read once from environment and flags; never changes. */
export interface Bootstrap {
  readonly controlPlane: ControlPlane
  /** The token itself, or the file that holds it and is read at each use; undefined: the control plane must take the proxy without. */
  readonly joinToken: { readonly text: string } | { readonly file: string } | undefined
  readonly identity: SpiffeId
  readonly node: ProxyNode
  readonly admin: SocketAddress
  /** Where else readiness and metrics may be asked for, from other machines; empty: only at `admin`. */
  readonly probes: readonly SocketAddress[]
  /** Where the application's look-ups arrive; empty: they go elsewhere. */
  readonly dns: readonly SocketAddress[]
  /** Where the last good configuration is kept; undefined: nowhere. */
  readonly stateDirectory: string | undefined
  /** How long requests in flight may take to end after SIGTERM. */
  readonly drainMs: number
  /** How long, before that, connections are still taken, while readiness fails and answers ask to close: balancers in front need it to look elsewhere. */
  readonly announceMs: number
  readonly limits: Limits
  /** Threads that carry traffic, on the same ports; undefined: as the mesh says, and where it says nothing, one, or what Envoy takes. */
  readonly concurrency: number | undefined
  /** Whether the mesh may have commands run here, for readiness probes. */
  readonly runsCommands: boolean
  /** Whether readiness waits for a proof that the application's traffic is captured, where it is to be. */
  readonly provesCapture: boolean
  readonly certificateLifetimeMs: number
  /** `weft`: this process carries the traffic. `envoy`: it is the agent beside a stock Envoy, started from this binary. */
  readonly engine: { readonly kind: 'weft' } | { readonly kind: 'envoy'; readonly binary: string; readonly arguments: readonly string[] }
  /** All of it: spans may tell of variables. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'off'
}
