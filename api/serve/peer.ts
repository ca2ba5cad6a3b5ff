import type { Faults } from '#core/fault/fault.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { SpiffeId } from '#core/identity/spiffe.ts'
import type { ResourceView } from './resource.ts'

/** Who is at the other end of a stream, by certificate or token, before anything it says of itself. */
export interface Peer {
  readonly organizationId: string
  readonly meshId: string
  /** Proven by the certificate. A join token's bearer has none yet, and gets what its token is bound to. */
  readonly identity: SpiffeId | undefined
  /** What a token's bearer may say that it is, where no identity is proven: `*` for any. Absent: anything within the mesh. */
  readonly bound?: { readonly namespace: string; readonly serviceAccount: string }
  readonly how: 'certificate' | 'join-token' | 'plaintext-loopback'
  /** Of the join token, by which the stream ends when the token is deleted. */
  readonly credentialId?: string
  /** Epoch ms at which the credential, and so the stream, ends. */
  readonly expiresAtMs: number
}

/** What the serving layer asks of the rest of the control plane; `api/main.ts` joins the rooms. */
export interface ServeDoors {
  /** Judges a stream's credentials. Throws Faults 'access.unauthenticated'. `certificateUri`: the verified peer certificate's SPIFFE URI and the mesh root that signed it. */
  authenticate(credential: { certificate?: { uri: string; meshId: string; notAfterMs: number }; bearer?: string; loopbackPlaintext: boolean }): Promise<Peer>
  /** Calls `end` when the peer's credential is deleted or has expired, whoever ended it. Returns the way to stop. */
  watch?(peer: Peer, end: () => void): () => void
  /** The same for one poll, of which so many may be held at once. @throws Faults 'access.rate-limited' */
  hold?(peer: Peer): { readonly signal: AbortSignal; release(): void } | undefined
  /**
   * The node as the mesh knows it, where that overrules what it says of itself; absent: as it says. What it answers is the stream's node.
   * Throws Faults 'access.forbidden' where it claims what is another's.
   */
  admit?(peer: Peer, node: ProxyNode): Promise<ProxyNode>
  /** The node's view; called once a stream's node and peer are known to agree. Loads the mesh when it is not in memory. */
  viewFor(peer: Peer, node: ProxyNode): Promise<ResourceView>
  /**
   * A stream is there, or gone (cleanly: the proxy said goodbye). `api/registry` makes workloads and leases of it.
   * `refuse` ends the stream where it turns out later that another was there first.
   */
  connected(peer: Peer, node: ProxyNode, refuse: (why: Faults) => void): void
  /** A proxy's word on its application while its stream stands (HealthInformation). */
  health?(peer: Peer, node: ProxyNode, health: 'healthy' | 'unhealthy'): void
  disconnected(peer: Peer, node: ProxyNode, how: 'clean' | 'lost'): void
}
