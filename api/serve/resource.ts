/**
 * What the serving layer knows of configuration: named bytes. Nothing here, and nothing in this folder, knows Istio.
 * `api/translate` fills these; a test fills them by hand.
 */
export interface Resource {
  /** Full type URL, `type.googleapis.com/envoy.config.cluster.v3.Cluster`. */
  readonly type: string
  readonly name: string
  /** Hash of the content: the same on every replica and after every restart. */
  readonly version: string
  /** The encoded message, without its Any envelope. Shared by all streams: never written to. */
  readonly bytes: Uint8Array
  /** The configuration objects it came from (`VirtualService/prod/order-service`), for words about a rejection. */
  readonly origins: readonly string[]
  /** Clients that know the feature forget the resource after so long without a heartbeat, ms (xds-rules 27). Absent: it stays. */
  readonly ttlMs?: number
  /** Other names that a client may ask for it by, in delta: a virtual host by `ROUTES/HOST` (VHDS, "Virtual host resource naming convention"). Such a one is sent to whoever asked for it, and not listed under a wildcard. */
  readonly aliases?: readonly string[]
  /** Says to whoever asked by name that there is none, where neither a removal nor an empty message does: a resource without content. */
  readonly absent?: true
}

/** What a view has in common with others. */
export interface Shown {
  /** Another view that gives this very object shows the same, except for `own`, whose names are the same there too. Whenever that changes it is another object. */
  readonly as: object
  /** Names of resources that may be others in each view: a few. */
  readonly own: readonly string[]
}

/** One step of a view: what came, changed or went, and the mesh revision that did it. */
export interface ViewChange {
  readonly revision: number
  readonly changed: readonly Resource[]
  readonly removed: readonly { readonly type: string; readonly name: string }[]
}

/**
 * All that one node may be sent, and news of it. Proxies with equal scopes share the layers below a view, and so their bytes.
 * A node cannot reach beyond its view by any name it asks for.
 */
export interface ResourceView {
  /** The newest mesh revision that this view reflects. */
  readonly revision: number
  get(type: string, name: string): Resource | undefined
  /** Everything of a type: what a wildcard subscription holds. Secrets are never listed. */
  list(type: string): Iterable<Resource>
  /** Calls `listener` synchronously after each change. Returns the way to stop. */
  subscribe(listener: (change: ViewChange) => void): () => void
  /** For an empty answer to a name that is not there (xds-rules 19): an empty RouteConfiguration or ClusterLoadAssignment of that name; undefined where absence is said by removal. */
  placeholder(type: string, name: string): Resource | undefined
  /** What a response of a type calls its version, where that is not the mesh revision: a view filled by hand names it explicitly. */
  versionOf?(type: string): string | undefined
  /** What of a type other views show as well. Undefined, or no such method, where none is known to. */
  sharing?(type: string): Shown | undefined
  /** Gives the view back when the stream ends. */
  release(): void
}
