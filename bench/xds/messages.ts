/** What the bench says to the process with the server, and hears from it. */
export type ServerOrder =
  | { readonly do: 'begin'; readonly event: string }
  /** `mesh`: which of several, the first where it is left out. */
  | { readonly do: 'change'; readonly kind: ChangeKind; readonly round: number; readonly mesh?: number }
  /** The first mesh changes a weight every few milliseconds, or stops. */
  | { readonly do: 'busy'; readonly on: boolean }
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
  /** Finds the longest turn of the event loop, at the cost of a loop that never rests. */
  readonly turns: boolean
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
  /** With the mesh in memory, and nobody connected. */
  readonly rssMiB: number
  readonly loadCpuSeconds: number
  /** PEM, when the port speaks TLS: the root that clients trust, and certificates by namespace. */
  readonly tls: { readonly root: string; readonly leaves: readonly { readonly certificate: string; readonly privateKey: string }[] } | undefined
}

export interface ServerCost {
  readonly cpuSeconds: number
  readonly rssMiB: number
  readonly heapMiB: number
  readonly rssPeakMiB: number
  /** By the CPU time of its thread, so that what else runs on the machine does not count; 0 where it was not asked for. */
  readonly longestTurnMs: number
}

export interface ServerPoll {
  /** Streams that owe no answer and are owed nothing. */
  readonly synced: number
  readonly streams: number
}

/** What the bench says to each process with streams. */
export type ClientOrder =
  | { readonly do: 'connect'; readonly server: ServerReady; readonly streams: number; readonly engine: string; readonly again: boolean }
  /** One proxy of all drops its stream and comes back with what it holds. */
  | { readonly do: 'reconnect'; readonly server: ServerReady; readonly proxy: number; readonly engine: string }
  | { readonly do: 'mark' }
  | { readonly do: 'poll' }
  | { readonly do: 'collect'; readonly startNs: string; readonly mesh?: OneMesh | undefined }
  | { readonly do: 'disconnect' }
  | { readonly do: 'exit' }

/** The proxies of one mesh of several. */
export interface OneMesh {
  readonly at: number
  readonly of: number
}

export interface ClientPoll {
  /** Since the last message came. */
  readonly quietMs: number
  /** Streams that have everything they know of. */
  readonly configured: number
  readonly broken: readonly string[]
}

/** Which of the proxies a process stands for: those whose number is `at`, `at + of`, and so on. */
export interface ClientSetup {
  readonly at: number
  readonly of: number
}

/** One event, as the streams of one process saw it. */
export interface ClientSums {
  /** Streams that got anything. */
  readonly concerned: number
  readonly bytesDown: number
  readonly bytesUp: number
  readonly messages: number
  readonly resources: number
  /** Null: none came. */
  readonly firstByteMs: number | null
  /** From the change to a stream's last ACK. */
  readonly ackMs: readonly number[]
  /** User and system time of the process since the mark. */
  readonly cpuSeconds: number
}

/** One event, as all clients saw it. Times are from the change to a stream's last ACK. */
export interface ClientFigures {
  /** Streams that got anything. */
  readonly concerned: number
  readonly bytesDown: number
  readonly bytesUp: number
  readonly messages: number
  readonly resources: number
  /** Until the first byte of a message came, to whichever stream it came first. */
  readonly firstByteMs: number
  readonly ackMs: { readonly p50: number; readonly p99: number; readonly max: number }
  /** Of all processes with streams: it counts for nothing, and says whether they kept the server waiting. */
  readonly cpuSeconds: number
}
