import forge from 'node-forge'

// The types know the second argument as a boolean only; options have been there since node-forge 1.0 (lib/asn1.js, fromDer).
declare module 'node-forge' {
  namespace asn1 {
    function fromDer(bytes: util.ByteStringBuffer, options: { strict: boolean; parseAllBytes: boolean; decodeBitStrings: boolean }): Asn1
  }
}

const { asn1 } = forge

/** ASN.1 that was read, in the shape of node-forge, whose strings hold a byte a character. What is written is bytes from the start: a certificate is made of a few parts that change and many that never do. */
export type Der = forge.asn1.Asn1

/** Object identifiers, by their names in RFC 5280 and RFC 5480. */
export const oid = {
  commonName: '2.5.4.3',
  organizationName: '2.5.4.10',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  ecdsaWithSha384: '1.2.840.10045.4.3.3',
  ecdsaWithSha512: '1.2.840.10045.4.3.4',
  extensionRequest: '1.2.840.113549.1.9.14',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const

const { UNIVERSAL, CONTEXT_SPECIFIC } = asn1.Class

const constructed = 0x20
const contextual = 0x80

/** Identifier, length in its shortest form, content (X.690 §8.1, §10.1). */
function written(identifier: number, content: readonly Uint8Array[]): Buffer {
  let length = 0
  for (const part of content) length += part.length
  const head = length < 0x80 ? 2 : length < 0x100 ? 3 : length < 0x10000 ? 4 : 5
  const der = Buffer.allocUnsafe(head + length)
  der[0] = identifier
  if (head === 2) der[1] = length
  else {
    der[1] = 0x80 + head - 2
    der.writeUIntBE(length, 2, head - 2)
  }
  let at = head
  for (const part of content) {
    der.set(part, at)
    at += part.length
  }
  return der
}

const octets = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')

export const sequence = (...members: Uint8Array[]): Buffer => written(asn1.Type.SEQUENCE | constructed, members)
export const set = (...members: Uint8Array[]): Buffer => written(asn1.Type.SET | constructed, members)
/** Two's complement, as it is. */
export const integer = (bytes: Uint8Array): Buffer => written(asn1.Type.INTEGER, [bytes])
export const boolean = (value: boolean): Buffer => written(asn1.Type.BOOLEAN, [Buffer.of(value ? 0xff : 0)])
export const objectId = (text: string): Buffer => written(asn1.Type.OID, [Buffer.from(asn1.oidToDer(text).getBytes(), 'latin1')])
export const utf8String = (text: string): Buffer => written(asn1.Type.UTF8, [Buffer.from(text, 'utf8')])
export const octetString = (bytes: Uint8Array): Buffer => written(asn1.Type.OCTETSTRING, [bytes])
/** A whole number of bytes, or with bits left unused at the end. */
export const bitString = (bytes: Uint8Array, unused = 0): Buffer => written(asn1.Type.BITSTRING, [Buffer.of(unused), bytes])
export const tagged = (tag: number, ...members: Uint8Array[]): Buffer => written(contextual | constructed | tag, members)
/** An IMPLICIT context tag over a primitive. */
export const implicit = (tag: number, bytes: Uint8Array): Buffer => written(contextual | tag, [bytes])

/** RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050; whole seconds. */
export function time(atMs: number): Buffer {
  const iso = new Date(atMs).toISOString()
  const text = `${iso.slice(0, 4)}${iso.slice(5, 7)}${iso.slice(8, 10)}${iso.slice(11, 13)}${iso.slice(14, 16)}${iso.slice(17, 19)}Z`
  return text < '2050' ? written(asn1.Type.UTCTIME, [Buffer.from(text.slice(2))]) : written(asn1.Type.GENERALIZEDTIME, [Buffer.from(text)])
}

/** What was read, as bytes again. */
export const encode = (value: Der): Buffer => Buffer.from(asn1.toDer(value).getBytes(), 'latin1')

/**
 * Reads one DER value. Bit strings stay as they are: read as nested ASN.1 they would not come out the same again, and a signature over them would fail.
 * @throws Error when it is not DER, or when something follows
 */
export const decode = (bytes: Uint8Array): Der =>
  asn1.fromDer(forge.util.createBuffer(octets(bytes)), { strict: true, parseAllBytes: true, decodeBitStrings: false })

export const isSequence = (value: Der | undefined): value is Der => value?.tagClass === UNIVERSAL && value.type === asn1.Type.SEQUENCE
/** A bit string of whole bytes. */
export const isBitString = (value: Der | undefined): value is Der => value?.tagClass === UNIVERSAL && value.type === asn1.Type.BITSTRING && bytesOf(value)[0] === 0
export const isTagged = (value: Der | undefined, tag: number): value is Der => value?.tagClass === CONTEXT_SPECIFIC && Number(value.type) === tag

/** The members of a constructed value; none for anything else. */
export const membersOf = (value: Der | undefined): readonly Der[] => (value && Array.isArray(value.value) ? value.value : [])

/** The content of a primitive value; empty for anything else. */
export const bytesOf = (value: Der | undefined): Buffer => Buffer.from(typeof value?.value === 'string' ? value.value : '', 'latin1')

export const objectIdOf = (value: Der | undefined): string =>
  value?.tagClass === UNIVERSAL && value.type === asn1.Type.OID && typeof value.value === 'string' ? asn1.derToOid(value.value) : ''

export function toPem(label: string, der: Uint8Array): string {
  const lines = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
