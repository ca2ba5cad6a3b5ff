/** Where one proxy stands with one resource type: for `weft proxy-status`, CSDS and `apply --wait`. */
export interface TypeStatus {
  readonly type: string
  /** SYNCED: the newest sent is acknowledged. STALE: sent, not yet acknowledged. REJECTED: the last answer was a NACK. NOT_SENT: subscribed, nothing to send or nothing sent. */
  readonly state: 'SYNCED' | 'STALE' | 'REJECTED' | 'NOT_SENT'
  readonly sinceMs: number
  readonly subscribed: number
  readonly sentRevision: number
  readonly ackedRevision: number
  /** The last answer's, or the newest of `refusals`. */
  readonly rejection: Rejection | undefined
  /** What it refused, or is spared because others like it refused it, of what the mesh still has; absent when there is none. */
  readonly refusals?: readonly Rejection[]
}

export interface Rejection {
  readonly message: string
  readonly revision: number
  /** Names of the resources in the refused response that the message names, or all of them. */
  readonly resources: readonly string[]
  /** Configuration objects behind these. */
  readonly origins: readonly string[]
  readonly atMs: number
}

export interface ProxyStatus {
  readonly node: { id: string; name: string; namespace: string; type: string; engine: string; version: string; cluster: string }
  readonly identity: string | undefined
  readonly connectedAtMs: number
  /** Every change up to this mesh revision that concerns the proxy is acknowledged. */
  readonly syncedRevision: number
  /** The revision its view has reached. */
  readonly viewRevision: number
  /** Why the mesh is not to call its workload, by its own word; absent: it may be called. */
  readonly notReady?: string
  readonly types: readonly TypeStatus[]
}
