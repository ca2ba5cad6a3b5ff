import { hash, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import { bitString, boolean, implicit, integer, objectId, octetString, oid, sequence, set, tagged, time, toPem, utf8String } from './der.ts'

type SubjectAltName = { readonly kind: 'uri' | 'dns' | 'ip'; readonly value: string }

/** What a certificate says (RFC 5280 §4.1), apart from who signs it. */
export interface CertificateBody {
  /** RDNs in order. An empty subject makes the alternative names critical. */
  readonly subject: readonly { readonly oid: string; readonly value: string }[]
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer
  readonly names: readonly SubjectAltName[]
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly authority: boolean
}

/** Who signs: its name, key and key identifier. A root signs itself by its own. */
export interface Signer {
  /** DER of its Name. */
  readonly subject: Buffer
  readonly privateKey: KeyObject
  readonly keyIdentifier: Buffer
}

const objectIds = new Map<string, Buffer>()
/** Few are ever written, and often. */
function objectIdOnce(id: string): Buffer {
  const known = objectIds.get(id)
  if (known) return known
  const made = objectId(id)
  objectIds.set(id, made)
  return made
}

/** RFC 5280 §4.1.2.1 counts from 0. */
const version3 = tagged(0, integer(Buffer.of(2)))
const ecdsaWithSha256 = sequence(objectId(oid.ecdsaWithSha256))
const extendedUsage = extension(oid.extKeyUsage, false, sequence(objectId(oid.serverAuth), objectId(oid.clientAuth)))
/** digitalSignature, bit 0. */
const leafUsage = extension(oid.keyUsage, true, bitString(Buffer.of(0x80), 7))
/** keyCertSign and cRLSign, bits 5 and 6. */
const authorityUsage = extension(oid.keyUsage, true, bitString(Buffer.of(0x06), 1))
/** Signs leaves and nothing that signs: pathLenConstraint 0. */
const authorityConstraints = extension(oid.basicConstraints, true, sequence(boolean(true), integer(Buffer.of(0))))
const leafConstraints = extension(oid.basicConstraints, true, sequence())

/** A P-256 SubjectPublicKeyInfo: what precedes the uncompressed point (RFC 5480). */
const p256Prefix = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex')
const p256Bytes = p256Prefix.length + 65

export const isP256 = (publicKey: Buffer): boolean => publicKey.length === p256Bytes && publicKey.subarray(0, p256Prefix.length).equals(p256Prefix)

/** RFC 5280 §4.2.1.2, method 1: SHA-1 over the point. A name for the key, no proof. */
export const keyIdentifierOf = (publicKey: Buffer): Buffer => hash('sha1', publicKey.subarray(p256Prefix.length), 'buffer')

export const nameOf = (parts: CertificateBody['subject']): Buffer => sequence(...parts.map((part) => set(sequence(objectIdOnce(part.oid), utf8String(part.value)))))

/** Signs a certificate with ECDSA and SHA-256. Returns PEM. */
export function issue(body: CertificateBody, signer: Signer): string {
  const toBeSigned = sequence(
    version3,
    integer(serialNumber()),
    ecdsaWithSha256,
    signer.subject,
    sequence(time(body.notBeforeMs), time(body.notAfterMs)),
    nameOf(body.subject),
    body.publicKey,
    tagged(3, sequence(...extensionsOf(body, signer))),
  )
  const signature = sign('sha256', toBeSigned, signer.privateKey)
  return toPem('CERTIFICATE', sequence(toBeSigned, ecdsaWithSha256, bitString(signature)))
}

function extensionsOf(body: CertificateBody, signer: Signer): Buffer[] {
  const keyIdentifier = octetString(keyIdentifierOf(body.publicKey))
  const usage = body.authority ? [authorityConstraints, authorityUsage] : [leafConstraints, leafUsage, extendedUsage]
  const names = body.names.length > 0 ? [extension(oid.subjectAltName, body.subject.length === 0, sequence(...body.names.map(generalName)))] : []
  return [
    ...usage,
    extension(oid.subjectKeyIdentifier, false, keyIdentifier),
    extension(oid.authorityKeyIdentifier, false, sequence(implicit(0, signer.keyIdentifier))),
    ...names,
  ]
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(objectIdOnce(id), ...(critical ? [boolean(true)] : []), octetString(value))
}

/** RFC 5280 §4.2.1.6: dNSName 2, uniformResourceIdentifier 6, iPAddress 7. */
function generalName(name: SubjectAltName): Buffer {
  if (name.kind === 'ip') return implicit(7, addressBytes(name.value))
  return implicit(name.kind === 'dns' ? 2 : 6, Buffer.from(name.value, 'ascii'))
}

/** Four or sixteen bytes, network order. */
function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number))
  const groups = (part: string | undefined): number[] => (part === undefined || part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)))
  const [head, tail] = address.split('::')
  const before = groups(head)
  const after = groups(tail)
  const words = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after]
  return Buffer.from(words.flatMap((word) => [word >> 8, word & 255]))
}

/** RFC 5280 §4.1.2.2: positive, at most 20 bytes; 126 bits of chance. */
function serialNumber(): Buffer {
  const serial = randomBytes(16)
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  return serial
}
