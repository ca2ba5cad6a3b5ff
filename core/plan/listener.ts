import type { Cidr } from '../match/cidr.ts'
import type { SocketAddress } from '../workload/workload.ts'
import type { HttpPlan, AccessLogPlan } from './http.ts'
import type { RbacPlan } from './rbac.ts'
import type { WeightedClusters } from './route.ts'

/**
 * The Plan: what a proxy executes. `core/plan/read-*.ts` compile it from xDS messages, one resource at a time; each value is immutable, and a change replaces it whole.
 * A request looks at a table once and keeps what it found, so configuration swaps between two requests and never within one.
 * Everything that can be prepared is prepared here: predicates are compiled, weights are summed, names are split.
 */

export interface ListenerPlan {
  readonly name: string
  readonly version: string
  readonly direction: 'inbound' | 'outbound' | 'gateway'
  /** Undefined: not bound (reached only through capture). */
  readonly bind: SocketAddress | undefined
  /** The address that it is for: the same where it is bound, and where it is not the one that captured connections went to. */
  readonly address?: SocketAddress
  /** Further addresses that it is for, bound where the first is: usually the other family's (`additional_addresses`, `ipv4_compat`). Absent: none. */
  readonly further?: readonly SocketAddress[]
  /** A tls_inspector is there: peek for a ClientHello before choosing a chain. */
  readonly inspectsTls: boolean
  /** An http_inspector is there: peek for a plaintext HTTP request line; what is found counts as the application protocol. */
  readonly inspectsHttp?: boolean
  /** How long the first bytes are awaited where they must be seen, 0: for ever; and whether a connection that does not say them is served all the same, by what matches plaintext. Absent: Envoy's defaults, 15 s and not. */
  readonly inspection?: { readonly timeoutMs: number; readonly continues: boolean }
  /** The connection's destination before it was captured chooses the listener and the chain (`use_original_dst`, original_dst filter). */
  readonly usesOriginalDestination?: boolean
  /** Connections go on to the listener of that address, where there is one (`use_original_dst`). */
  readonly handsOff?: boolean
  /** The PROXY protocol stands in front of every connection, in one of these versions; `optional`: connections without it are served too. */
  readonly proxyProtocol?: { readonly versions: readonly (1 | 2)[]; readonly optional: boolean }
  readonly chains: readonly FilterChainPlan[]
  readonly defaultChain: FilterChainPlan | undefined
}

export interface FilterChainPlan {
  readonly name: string
  readonly match: ChainMatch
  readonly tls: ServerTlsPlan | undefined
  /** Network filters before the last one. */
  readonly rbac: readonly RbacPlan[]
  readonly serve: HttpPlan | TcpPlan
}

/** Envoy's FilterChainMatch, the criteria that Weft uses; empty and undefined match everything. */
export interface ChainMatch {
  readonly destinationPort: number | undefined
  /** Ranges that the connection's destination must be in; absent: any. */
  readonly destinations?: readonly Cidr[]
  /** Exact names and `*.suffix`. */
  readonly serverNames: readonly string[]
  readonly transportProtocol: '' | 'tls' | 'raw_buffer'
  readonly applicationProtocols: readonly string[]
}

export interface ServerTlsPlan {
  /** Names of secrets with certificate and key. */
  readonly certificates: readonly string[]
  /** Name of the secret with the roots that client certificates must lead to. */
  readonly trust: string | undefined
  readonly requireClientCertificate: boolean
  /** A client certificate must carry one of these SANs; empty: any. */
  readonly allowedSans: readonly StringMatchPlan[]
  /** SHA-256 of client certificates (hex, lower case) and of client keys (base64): one of them must be the client's; absent: any. */
  readonly allowedClients?: { readonly hashes: readonly string[]; readonly keys: readonly string[] }
  readonly alpn: readonly string[]
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3'
  /** OpenSSL names, for TLS 1.2; absent: the runtime's own choice. */
  readonly cipherSuites?: readonly string[]
  /** Groups of the key exchange, the better first; absent: the runtime's own choice. */
  readonly curves?: readonly string[]
  /** A client that has not finished its handshake by then is dropped; absent: the proxy's own bound. */
  readonly handshakeTimeoutMs?: number
}

/** Compiled, with the words that explain it: `prefix "/orders"`. */
export interface StringMatchPlan {
  readonly words: string
  matches(text: string): boolean
}

export interface TcpPlan {
  readonly kind: 'tcp'
  readonly clusters: WeightedClusters
  readonly idleTimeoutMs: number
  /** The cluster is named by the connection's SNI; `clusters` says nothing then. */
  readonly clusterBySni?: boolean
  /** Connections of one client address go to one endpoint. */
  readonly hashesSource?: boolean
  /** A connection lasts so long at most. */
  readonly lifetimeMaxMs?: number
  /** The upstream is a proxy that is asked for a tunnel to this HOST:PORT, by CONNECT. */
  readonly tunnelTo?: string
  /** It is asked by POST: the tunnel's bytes are the bodies of request and answer. */
  readonly tunnelByPost?: boolean
  readonly accessLog: readonly AccessLogPlan[]
}
