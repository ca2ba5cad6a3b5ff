import { createHash, type KeyObject, X509Certificate } from 'node:crypto'

/** What a proxy is known by, and the roots by which it knows others. Immutable: a renewal makes a new one. */
export interface WorkloadCertificate {
  readonly uri: string
  /** Leaf first, then what leads to the root, without the root. */
  readonly chainPem: string
  readonly key: KeyObject
  readonly rootsPem: string
  /** Hex of the leaf's SHA-256: another certificate, another version. */
  readonly version: string
  readonly serial: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** The certificates in a text, each parsed. @throws when one is not a certificate */
export function parseCertificates(pem: string): X509Certificate[] {
  return (pem.match(PEM_CERTIFICATE) ?? []).map((one) => new X509Certificate(one))
}

/**
 * Reads the answer to a certificate request: leaf first, then issuers; whatever signed itself is a root of the mesh (two during a rotation of roots).
 * @throws Error naming what is wrong: no leaf, another key's leaf, another identity, no root, no longer valid
 */
export function readIssued(chain: readonly string[], key: KeyObject, uri: string, nowMs: number): WorkloadCertificate {
  const certificates = chain.flatMap(parseCertificates)
  const [leaf] = certificates
  if (leaf === undefined) throw new Error('the answer holds no certificate')
  if (!leaf.checkPrivateKey(key)) throw new Error('the certificate is for another key')
  const names = (leaf.subjectAltName ?? '').split(', ')
  if (!names.includes(`URI:${uri}`)) throw new Error(`the certificate is for ${leaf.subjectAltName ?? 'nobody'}, not for ${uri}`)
  const roots = certificates.slice(1).filter(isSelfSigned)
  if (roots.length === 0) throw new Error('the answer holds no root')
  const notAfterMs = leaf.validToDate.getTime()
  if (notAfterMs <= nowMs) throw new Error(`the certificate ended at ${leaf.validToDate.toISOString()}`)
  return {
    uri,
    chainPem: [leaf, ...certificates.slice(1).filter((one) => !isSelfSigned(one))].map(String).join(''),
    key,
    rootsPem: roots.map(String).join(''),
    version: createHash('sha256').update(leaf.raw).digest('hex'),
    serial: leaf.serialNumber,
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs,
  }
}

const isSelfSigned = (certificate: X509Certificate): boolean => certificate.checkIssued(certificate)

/** The key as TLS and gRPC want it: PEM, within this process. */
export const keyPem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()
