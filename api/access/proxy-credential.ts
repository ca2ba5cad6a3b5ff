import { fault, Faults } from '#core/fault/fault.ts'
import { parseSpiffeId } from '#core/identity/spiffe.ts'
import type { Clock } from '#core/time/clock.ts'
import type { JoinToken, Store } from '#db/store.ts'
import type { Peer, ServeDoors } from '../serve/peer.ts'
import { hashCredential } from './credential.ts'

const refused = (rule: string): Faults => new Faults([fault('access.unauthenticated', { path: '', rule })])

/** Who a proxy is, by its certificate or by its join token. */
export class Authentication {
  readonly #store: Store
  readonly #clock: Clock

  constructor(store: Store, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** @throws Faults 'access.unauthenticated' */
  async authenticate(credential: Parameters<ServeDoors['authenticate']>[0]): Promise<Peer> {
    if (credential.certificate) {
      const { uri, meshId, notAfterMs } = credential.certificate
      const mesh = await this.#store.meshById(meshId)
      const identity = parseSpiffeId(uri)
      if (!mesh || !identity || identity.trustDomain !== mesh.trustDomain) throw refused('a certificate of a mesh that is here, with an identity of its trust domain')
      return { organizationId: mesh.organizationId, meshId, identity, how: 'certificate', expiresAtMs: notAfterMs }
    }
    const token = credential.bearer === undefined ? undefined : await this.resolveToken(credential.bearer)
    if (!token) throw refused('a certificate, or a join token that is neither unknown nor expired')
    const mesh = await this.#store.meshById(token.meshId)
    if (!mesh) throw refused('a join token of a mesh that is here')
    const bound = token.namespace !== '*' && token.serviceAccount !== '*'
    return {
      organizationId: token.organizationId,
      meshId: token.meshId,
      identity: bound ? { trustDomain: mesh.trustDomain, namespace: token.namespace, serviceAccount: token.serviceAccount } : undefined,
      bound: { namespace: token.namespace, serviceAccount: token.serviceAccount },
      how: 'join-token',
      credentialId: token.id,
      expiresAtMs: token.expiresAtMs,
    }
  }

  /** Undefined for a token that is unknown or expired. */
  async resolveToken(secret: string): Promise<JoinToken | undefined> {
    const hash = hashCredential('join', secret)
    const token = hash === undefined ? undefined : await this.#store.joinTokenByHash(hash)
    return token && token.expiresAtMs > this.#clock.wallMs() ? token : undefined
  }
}
