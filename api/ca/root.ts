import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, X509Certificate } from 'node:crypto'
import { isP256, issue, keyIdentifierOf, nameOf, type Signer } from './certificate.ts'
import { decode, encode, membersOf, oid } from './der.ts'
import { seal, unseal } from './seal.ts'

const yearMs = 365 * 24 * 3_600_000
const rootYears = 10
/** Clocks of proxies lag: what is signed now is valid since a minute. */
export const backdateMs = 60_000

export interface Root {
  /** PEM. */
  readonly certificate: string
  /** PKCS #8, PEM. Never stored but sealed. */
  readonly privateKey: string
}

/** A root that can sign: read once, used often. */
export interface Authority {
  readonly certificate: string
  readonly signer: Signer
  readonly notAfterMs: number
}

/**
 * A mesh's root, or the control plane's own: a P-256 key and a certificate signed by it, valid ten years. Leaves are signed by it directly.
 * @param trustDomain of a mesh, named as X509-SVID §3.1 has it; undefined for a root that signs no workload
 */
export function makeRoot(of: { organization: string; trustDomain?: string; nowMs: number }): Root {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  // Chance in the name keeps two roots of one trust domain apart wherever a verifier looks for an issuer by its name.
  const subject = [
    { oid: oid.organizationName, value: of.organization },
    { oid: oid.commonName, value: `Weft root ${randomBytes(8).toString('hex')}` },
  ]
  const body = {
    subject,
    publicKey: spki,
    names: of.trustDomain === undefined ? [] : [{ kind: 'uri' as const, value: `spiffe://${of.trustDomain}` }],
    notBeforeMs: of.nowMs - backdateMs,
    notAfterMs: of.nowMs + rootYears * yearMs,
    authority: true,
  }
  const signer = { subject: nameOf(subject), privateKey, keyIdentifier: keyIdentifierOf(spki) }
  return { certificate: issue(body, signer), privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

/**
 * Whether a certificate, PEM, is in form what `makeRoot` makes for a trust domain, and nothing besides stands in the text.
 * @throws Error when it is no certificate
 */
export function isRootOf(pem: string, trustDomain: string): boolean {
  const certificate = new X509Certificate(pem)
  const [organization, name, ...more] = certificate.subject.split('\n')
  return (
    pem.trim() === certificate.toString().trim() &&
    certificate.ca &&
    organization === `O=${trustDomain}` &&
    /^CN=Weft root [0-9a-f]{16}$/.test(name ?? '') &&
    more.length === 0 &&
    certificate.subjectAltName === `URI:spiffe://${trustDomain}` &&
    isP256(certificate.publicKey.export({ type: 'spki', format: 'der' }))
  )
}

/** The name by which a verifier looks for the issuer of a leaf; upper and lower case are one there (RFC 5280 §7.1). */
export const issuerNameOf = (pem: string): string => new X509Certificate(pem).subject.toLowerCase()

/** @throws Error when key and certificate do not belong together */
export function readAuthority(root: Root): Authority {
  const certificate = new X509Certificate(root.certificate)
  const privateKey = createPrivateKey(root.privateKey)
  if (!certificate.checkPrivateKey(privateKey)) throw new Error('the private key is not that of the root certificate')
  return { certificate: root.certificate, signer: signerOf(certificate, privateKey), notAfterMs: Date.parse(certificate.validTo) }
}

/** The root's private key, sealed for the store, and bound to its certificate: it opens beside no other. */
export const sealRoot = (root: Root, key: Uint8Array): Uint8Array => seal(key, Buffer.from(root.privateKey), Buffer.from(root.certificate))

/** @throws Error when the key is another, or the seal or certificate was tampered with */
export const openRoot = (certificate: string, sealed: Uint8Array, key: Uint8Array): Authority =>
  readAuthority({ certificate, privateKey: unseal(key, sealed, Buffer.from(certificate)).toString() })

function signerOf(certificate: X509Certificate, privateKey: KeyObject): Signer {
  return { subject: subjectOf(certificate), privateKey, keyIdentifier: keyIdentifierOf(certificate.publicKey.export({ type: 'spki', format: 'der' })) }
}

/** TBSCertificate: [0] version, serialNumber, signature, issuer, validity, subject (RFC 5280 §4.1). */
function subjectOf(certificate: X509Certificate): Buffer {
  const subject = membersOf(membersOf(decode(certificate.raw))[0])[5]
  if (!subject) throw new Error('the root certificate has no subject')
  return encode(subject)
}
