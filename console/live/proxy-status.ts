/** A proxy's standing as `GET …/proxies` and the `proxies` event carry it; `api/serve/ledger-entry.ts` is where it comes from, and a test holds the two together. */
export interface ProxyStatus {
  readonly node: { readonly id: string; readonly name: string; readonly namespace: string; readonly type: string; readonly engine: string; readonly version: string; readonly cluster: string }
  readonly identity?: string | undefined
  readonly connectedAtMs: number
  readonly syncedRevision: number
  readonly viewRevision: number
  readonly types: readonly TypeStatus[]
}

export interface TypeStatus {
  /** Full type URL. */
  readonly type: string
  readonly state: 'SYNCED' | 'STALE' | 'REJECTED' | 'NOT_SENT'
  readonly sinceMs: number
  readonly subscribed: number
  readonly sentRevision: number
  readonly ackedRevision: number
  readonly rejection?: Rejection | undefined
}

export interface Rejection {
  readonly message: string
  readonly revision: number
  readonly resources: readonly string[]
  readonly origins: readonly string[]
  readonly atMs: number
}
