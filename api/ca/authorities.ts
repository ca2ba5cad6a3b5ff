import { X509Certificate } from 'node:crypto'
import { fault, Faults } from '#core/fault/fault.ts'
import type { Clock } from '#core/time/clock.ts'
import type { Store } from '#db/store.ts'
import { isRootOf, makeRoot, openRoot, readAuthority, sealRoot, type Authority, type Root } from './root.ts'
import { leafMsMax, serverCertificate } from './sign.ts'

/** Name under which the control plane's own root is stored; all replicas share it. */
const SERVER_ROOT = 'control-plane-root'

interface StoredRoot {
  readonly certificate: string
  /** base64 */
  readonly sealedKey: string
}

/** The authorities that sign: one a mesh, opened when first needed, and the control plane's own for its ports. */
export class MeshAuthorities {
  readonly #store: Store
  readonly #sealKey: Buffer
  readonly #clock: Clock
  readonly #server: Authority
  readonly #meshes = new Map<string, Promise<{ authority: Authority; trustDomain: string } | undefined>>()

  private constructor(store: Store, sealKey: Buffer, clock: Clock, server: Authority) {
    this.#store = store
    this.#sealKey = sealKey
    this.#clock = clock
    this.#server = server
  }

  /** @throws Error when the seal key is not the one that the roots were sealed with */
  static async open(store: Store, sealKey: Buffer, clock: Clock): Promise<MeshAuthorities> {
    const stored = (await store.platformValue(SERVER_ROOT)) ?? (await store.putPlatformValue(SERVER_ROOT, newServerRoot(sealKey, clock)))
    const root = JSON.parse(Buffer.from(stored).toString('utf8')) as StoredRoot
    return new MeshAuthorities(store, sealKey, clock, openRoot(root.certificate, Buffer.from(root.sealedKey, 'base64'), sealKey))
  }

  /** PEM of the root that the control plane's ports are certified by. */
  get serverRoot(): string {
    return this.#server.certificate
  }

  /** Server certificates live a day and are renewed before half of it. */
  readonly serverRenewalMs = leafMsMax * 0.4

  serverCertificate(names: readonly string[]): { certificate: string; privateKey: string } {
    return serverCertificate(this.#server, names, this.#clock.wallMs())
  }

  /** A root for a new mesh, its key sealed for the store. */
  makeRoot(trustDomain: string): { certificate: string; sealed: Uint8Array } {
    const root = makeRoot({ organization: trustDomain, trustDomain, nowMs: this.#clock.wallMs() })
    return { certificate: root.certificate, sealed: sealRoot(root, this.#sealKey) }
  }

  /** A root that was made elsewhere, its key sealed for the store. @throws Faults 'archive.sealed' when it is none that could sign for the trust domain */
  seal(root: Root, trustDomain: string): { certificate: string; sealed: Uint8Array } {
    const wrong = (rule: string): Faults => new Faults([fault('archive.sealed', { path: 'rootCertificate', rule })])
    let certificate: X509Certificate
    try {
      certificate = new X509Certificate(readAuthority(root).certificate)
    } catch {
      throw wrong('a root certificate with its own private key')
    }
    // All that stands in the text is trusted, by TLS too, which looks for an issuer by its name.
    if (!isRootOf(root.certificate, trustDomain)) throw wrong(`a root that Weft made for the trust domain ${trustDomain}, alone`)
    if (Date.parse(certificate.validTo) <= this.#clock.wallMs()) throw wrong('a root that has not expired')
    return { certificate: root.certificate, sealed: sealRoot(root, this.#sealKey) }
  }

  /** A mesh's root with its key in the clear: for an archive, which seals it anew. */
  async rootOf(meshId: string): Promise<Root | undefined> {
    const found = await this.authorityOf(meshId)
    return found && { certificate: found.authority.certificate, privateKey: found.authority.signer.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
  }

  /** The mesh has another root now. */
  forget(meshId: string): void {
    this.#meshes.delete(meshId)
  }

  /** Undefined when there is no such mesh. */
  authorityOf(meshId: string): Promise<{ authority: Authority; trustDomain: string } | undefined> {
    let opening = this.#meshes.get(meshId)
    if (!opening) {
      opening = this.#open(meshId)
      this.#meshes.set(meshId, opening)
      // What was not there, or could not be read, is asked for again next time.
      opening.then(
        (found) => found ?? this.#meshes.delete(meshId),
        () => this.#meshes.delete(meshId),
      )
    }
    return opening
  }

  async #open(meshId: string): Promise<{ authority: Authority; trustDomain: string } | undefined> {
    const [mesh, sealed] = await Promise.all([this.#store.meshById(meshId), this.#store.sealedRoot(meshId)])
    return mesh && sealed ? { authority: openRoot(mesh.rootCertificate, sealed, this.#sealKey), trustDomain: mesh.trustDomain } : undefined
  }
}

function newServerRoot(sealKey: Buffer, clock: Clock): Uint8Array {
  const root = makeRoot({ organization: 'Weft control plane', nowMs: clock.wallMs() })
  const stored: StoredRoot = { certificate: root.certificate, sealedKey: Buffer.from(sealRoot(root, sealKey)).toString('base64') }
  return Buffer.from(JSON.stringify(stored))
}
