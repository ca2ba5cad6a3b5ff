/** What the bench says to the process with the server, and hears from it. */
export type ServerOrder =
  | { readonly do: 'begin'; readonly event: string }
  | { readonly do: 'change'; readonly kind: ChangeKind; readonly round: number }
  | { readonly do: 'poll' }
  | { readonly do: 'end' }
  | { readonly do: 'heap'; readonly file: string }
  | { readonly do: 'exit' }

export type ChangeKind = 'weight' | 'endpoint' | 'service' | 'namespace-policy' | 'mesh-policy'

export interface ServerSetup {
  /** In each mesh. */
  readonly services: number
  /** Meshes in the one process; proxies are spread over them, and changes go to the first. */
  readonly meshes: number
  readonly tls: boolean
  /** Writes EVENT.cpuprofile for each event here. */
  readonly profileDir: string | undefined
  /** Changes made before it starts: after a restart the mesh is what it was. */
  readonly history: readonly ChangeMade[]
}

export interface ChangeMade {
  readonly kind: ChangeKind
  readonly round: number
}

export interface ServerReady {
  readonly port: number
  readonly loadCpuSeconds: number
  /** PEM, when the port speaks TLS: the root that clients trust, and certificates by namespace. */
  readonly tls: { readonly root: string; readonly leaves: readonly { readonly certificate: string; readonly privateKey: string }[] } | undefined
}

export interface ServerCost {
  readonly cpuSeconds: number
  readonly rssMiB: number
  readonly heapMiB: number
  readonly rssPeakMiB: number
}

export interface ServerPoll {
  /** Streams that owe no answer and are owed nothing. */
  readonly synced: number
  readonly streams: number
}

/** What the bench says to the process with the streams. */
export type ClientOrder =
  | { readonly do: 'connect'; readonly server: ServerReady; readonly streams: number; readonly engine: string; readonly again: boolean }
  | { readonly do: 'mark' }
  | { readonly do: 'poll' }
  | { readonly do: 'collect'; readonly startNs: string }
  | { readonly do: 'disconnect' }
  | { readonly do: 'exit' }

export interface ClientPoll {
  /** Since the last message came. */
  readonly quietMs: number
  /** Streams that have everything they know of. */
  readonly configured: number
  readonly broken: readonly string[]
}

/** One event, as its clients saw it. Times are from the change to a stream's last ACK. */
export interface ClientFigures {
  /** Streams that got anything. */
  readonly concerned: number
  readonly bytesDown: number
  readonly bytesUp: number
  readonly messages: number
  readonly resources: number
  readonly ackMs: { readonly p50: number; readonly p99: number; readonly max: number }
}
