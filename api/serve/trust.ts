import { X509Certificate } from 'node:crypto'
import { experimental } from '@grpc/grpc-js'

type CertificateProvider = Parameters<typeof experimental.createCertificateProviderServerCredentials>[0]
type CaListener = Parameters<CertificateProvider['addCaCertificateListener']>[0]
type IdentityListener = Parameters<CertificateProvider['addIdentityCertificateListener']>[0]

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
  readonly #caListeners = new Set<CaListener>()
  readonly #identityListeners = new Set<IdentityListener>()
  #identity: { certificate: Buffer; privateKey: Buffer }

  /** @param identity the server's own certificate chain and private key, PEM */
  constructor(identity: { certificate: string; privateKey: string }) {
    this.#identity = { certificate: Buffer.from(identity.certificate), privateKey: Buffer.from(identity.privateKey) }
  }

  /** Trusts a mesh's root, or several in one PEM while they rotate. The next connection is judged by it. */
  set(meshId: string, pem: string): void {
    const roots = splitPem(pem).map((one) => ({ meshId, certificate: new X509Certificate(one) }))
    this.#meshes.set(meshId, { pem, roots })
    this.#announce()
  }

  delete(meshId: string): void {
    if (this.#meshes.delete(meshId)) this.#announce()
  }

  has(meshId: string): boolean {
    return this.#meshes.has(meshId)
  }

  /** The server's certificate and key, renewed: connections that stand keep the old one. */
  renew(identity: { certificate: string; privateKey: string }): void {
    this.#identity = { certificate: Buffer.from(identity.certificate), privateKey: Buffer.from(identity.privateKey) }
    for (const listener of this.#identityListeners) listener(this.#identity)
  }

  /**
   * What a certificate that TLS has verified proves; undefined when it has not exactly one URI, a SPIFFE one, or when no root of ours signed it itself.
   * @param raw DER
   */
  prove(raw: Buffer): ProvenPeer | undefined {
    const leaf = new X509Certificate(raw)
    const uri = onlyUriOf(leaf)
    if (uri === undefined || leaf.ca) return undefined
    for (const { roots } of this.#meshes.values()) {
      for (const root of roots) {
        // checkIssued compares names and key identifiers, which is cheap; only the signature proves.
        if (leaf.checkIssued(root.certificate) && leaf.verify(root.certificate.publicKey)) {
          return { uri, meshId: root.meshId, notAfterMs: Date.parse(leaf.validTo) }
        }
      }
    }
    return undefined
  }

  /** For grpc-js: hears of each change of roots and of the server's own certificate. */
  provider(): CertificateProvider {
    return {
      addCaCertificateListener: (listener) => {
        this.#caListeners.add(listener)
        listener({ caCertificate: this.#union() })
      },
      removeCaCertificateListener: (listener) => void this.#caListeners.delete(listener),
      addIdentityCertificateListener: (listener) => {
        this.#identityListeners.add(listener)
        listener(this.#identity)
      },
      removeIdentityCertificateListener: (listener) => void this.#identityListeners.delete(listener),
    }
  }

  #announce(): void {
    const caCertificate = this.#union()
    for (const listener of this.#caListeners) listener({ caCertificate })
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
