import { verify } from 'node:crypto'
import { fault, Faults } from '#core/fault/fault.ts'
import { isP256 } from './certificate.ts'
import { bytesOf, decode, type Der, encode, isBitString, isSequence, isTagged, membersOf, objectIdOf, oid } from './der.ts'

/** What a certificate request asks for, its signature verified: the sender holds the key. */
export interface CertificateRequest {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer
  /** URIs among the alternative names that it asks for. Words, not proof. */
  readonly uris: readonly string[]
}

const csrCharactersMax = 16_384
const digests: Readonly<Record<string, string>> = { [oid.ecdsaWithSha256]: 'sha256', [oid.ecdsaWithSha384]: 'sha384', [oid.ecdsaWithSha512]: 'sha512' }

/**
 * Reads a PKCS #10 request (RFC 2986), PEM, P-256 only.
 * @throws Faults 'identity.csr'
 */
export function readCsr(pem: string): CertificateRequest {
  const parts = pem.length > csrCharactersMax ? null : /-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END (?:NEW )?CERTIFICATE REQUEST-----/.exec(pem)
  if (!parts) throw refused(`a PEM certificate request of at most ${csrCharactersMax} characters`)
  const whole = decodeRequest(Buffer.from(parts[1] ?? '', 'base64'))
  const [info, algorithm, signature, ...more] = membersOf(whole)
  const [, , key, attributes] = membersOf(info)
  if (!isSequence(whole) || !isSequence(info) || !isSequence(key) || !isSequence(algorithm) || !isBitString(signature) || more.length > 0) throw refused('a PKCS #10 certificate request')
  const publicKey = encode(key)
  if (!isP256(publicKey)) throw refused('a P-256 key')
  const digest = digests[objectIdOf(membersOf(algorithm)[0])]
  if (digest === undefined) throw refused('a signature by ECDSA with SHA-256, SHA-384 or SHA-512')
  if (!isSignedBy(publicKey, digest, encode(info), bytesOf(signature).subarray(1))) throw refused('a signature by the key that the request is for')
  return { publicKey, uris: urisOf(attributes) }
}

const refused = (rule: string): Faults => new Faults([fault('identity.csr', { path: 'csr', rule })])

function decodeRequest(bytes: Buffer): Der {
  try {
    return decode(bytes)
  } catch (cause) {
    throw refused(`DER: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}

function isSignedBy(publicKey: Buffer, digest: string, signed: Buffer, signature: Buffer): boolean {
  try {
    return verify(digest, signed, { key: publicKey, format: 'der', type: 'spki' }, signature)
  } catch {
    // A point that is not on the curve is no key, and so signed nothing.
    return false
  }
}

/** extensionRequest (RFC 2985 §5.4.2) → subjectAltName → uniformResourceIdentifier [6]. */
function urisOf(attributes: Der | undefined): string[] {
  if (!isTagged(attributes, 0)) return []
  return membersOf(attributes)
    .filter((attribute) => objectIdOf(membersOf(attribute)[0]) === oid.extensionRequest)
    .flatMap((attribute) => membersOf(membersOf(membersOf(attribute)[1])[0]))
    .filter((extension) => objectIdOf(membersOf(extension)[0]) === oid.subjectAltName)
    .flatMap((extension) => membersOf(decodeRequest(bytesOf(membersOf(extension).at(-1)))))
    .filter((name) => isTagged(name, 6))
    .map((name) => bytesOf(name).toString('latin1'))
}
