import { X509Certificate } from 'node:crypto'

/** What a TLS server stands on, PEM: whom it believes, and who it is. */
export interface TlsContext {
  readonly ca: Buffer
  readonly cert: Buffer
  readonly key: Buffer
}

/** What a verified peer certificate proves. */
export interface ProvenPeer {
  readonly uri: string
  readonly meshId: string
  readonly notAfterMs: number
}

interface Root {
  readonly meshId: string
  readonly certificate: X509Certificate
}

/**
 * The roots of all meshes, for the TLS layer to verify peers against, live; and whose root it was that signed a peer.
 * Two meshes may bear the same trust domain, so a SPIFFE URI alone says nothing: the signature by a mesh's root does.
 */
export class TrustStore {
  readonly #meshes = new Map<string, { pem: string; roots: Root[] }>()
  /** By the root's name, so that a peer's issuer is found without a look at every mesh. */
  readonly #bySubject = new Map<string, Root[]>()
  readonly #followers = new Set<(context: TlsContext) => void>()
  #identity: { certificate: Buffer; privateKey: Buffer }

  /** @param identity the server's own certificate chain and private key, PEM */
  constructor(identity: { certificate: string; privateKey: string }) {
    this.#identity = { certificate: Buffer.from(identity.certificate), privateKey: Buffer.from(identity.privateKey) }
  }

  /** Trusts a mesh's root, or several in one PEM while they rotate. The next connection is judged by it. False: it did so already. */
  set(meshId: string, pem: string): boolean {
    if (this.#meshes.get(meshId)?.pem === pem) return false
    const roots = splitPem(pem).map((one) => ({ meshId, certificate: new X509Certificate(one) }))
    this.#forget(meshId)
    this.#meshes.set(meshId, { pem, roots })
    for (const root of roots) this.#bySubject.set(root.certificate.subject, [...(this.#bySubject.get(root.certificate.subject) ?? []), root])
    this.#announce()
    return true
  }

  delete(meshId: string): void {
    if (this.#forget(meshId)) this.#announce()
  }

  has(meshId: string): boolean {
    return this.#meshes.has(meshId)
  }

  /** The server's certificate and key, renewed: connections that stand keep the old one. */
  renew(identity: { certificate: string; privateKey: string }): void {
    this.#identity = { certificate: Buffer.from(identity.certificate), privateKey: Buffer.from(identity.privateKey) }
    this.#announce()
  }

  /**
   * What a certificate that TLS has verified proves; undefined when it has not exactly one URI, a SPIFFE one, or when no root of ours signed it itself.
   * @param raw DER
   */
  prove(raw: Buffer): ProvenPeer | undefined {
    const leaf = new X509Certificate(raw)
    const uri = onlyUriOf(leaf)
    if (uri === undefined || leaf.ca) return undefined
    // Names and key identifiers only find the root; the signature proves.
    const root = this.#bySubject.get(leaf.issuer)?.find(({ certificate }) => leaf.checkIssued(certificate) && leaf.verify(certificate.publicKey))
    return root && { uri, meshId: root.meshId, notAfterMs: Date.parse(leaf.validTo) }
  }

  /** Tells of the roots and of the server's own certificate, now and at each change. Returns the way to stop. */
  follow(follower: (context: TlsContext) => void): () => void {
    this.#followers.add(follower)
    follower(this.#context())
    return () => this.#followers.delete(follower)
  }

  #forget(meshId: string): boolean {
    for (const { certificate } of this.#meshes.get(meshId)?.roots ?? []) {
      const others = (this.#bySubject.get(certificate.subject) ?? []).filter((root) => root.meshId !== meshId)
      if (others.length > 0) this.#bySubject.set(certificate.subject, others)
      else this.#bySubject.delete(certificate.subject)
    }
    return this.#meshes.delete(meshId)
  }

  #announce(): void {
    const context = this.#context()
    for (const follower of this.#followers) follower(context)
  }

  #context(): TlsContext {
    return { ca: this.#union(), cert: this.#identity.certificate, key: this.#identity.privateKey }
  }

  /** With no mesh yet, the server's own chain stands in: an empty list would mean the public roots. It proves nothing, for `prove` knows meshes only. */
  #union(): Buffer {
    const pems = [...this.#meshes.values()].map(({ pem }) => pem.trimEnd())
    return pems.length > 0 ? Buffer.from(`${pems.join('\n')}\n`) : this.#identity.certificate
  }
}

const splitPem = (pem: string): string[] => pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []

/** X.509-SVID §2: exactly one URI SAN. Node escapes and quotes what could be mistaken for a separator, so a comma within an entry is always within quotes. */
function onlyUriOf(certificate: X509Certificate): string | undefined {
  const entries = (certificate.subjectAltName ?? '').split(/, (?=(?:[^"]*"[^"]*")*[^"]*$)/)
  const uris = entries.filter((entry) => entry.startsWith('URI:'))
  const uri = uris.length === 1 ? uris[0]?.slice(4) : undefined
  return uri !== undefined && uri.startsWith('spiffe://') && !uri.startsWith('"') ? uri : undefined
}
