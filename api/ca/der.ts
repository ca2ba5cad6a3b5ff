import forge from 'node-forge'

// The types know the second argument as a boolean only; options have been there since node-forge 1.0 (lib/asn1.js, fromDer).
declare module 'node-forge' {
  namespace asn1 {
    function fromDer(bytes: util.ByteStringBuffer, options: { strict: boolean; parseAllBytes: boolean; decodeBitStrings: boolean }): Asn1
  }
}

const { asn1 } = forge

/** ASN.1 in the shape of node-forge, whose strings hold a byte a character. */
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

const universal = (type: forge.asn1.Type, constructed: boolean, value: string | Der[]): Der => asn1.create(UNIVERSAL, type, constructed, value)

const octets = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')

export const sequence = (...members: Der[]): Der => universal(asn1.Type.SEQUENCE, true, members)
export const set = (...members: Der[]): Der => universal(asn1.Type.SET, true, members)
export const integer = (bytes: Uint8Array): Der => universal(asn1.Type.INTEGER, false, octets(bytes))
export const boolean = (value: boolean): Der => universal(asn1.Type.BOOLEAN, false, value ? '\xff' : '\x00')
export const objectId = (text: string): Der => universal(asn1.Type.OID, false, asn1.oidToDer(text).getBytes())
export const utf8String = (text: string): Der => universal(asn1.Type.UTF8, false, octets(Buffer.from(text, 'utf8')))
export const octetString = (bytes: Uint8Array): Der => universal(asn1.Type.OCTETSTRING, false, octets(bytes))
/** A whole number of bytes, or with bits left unused at the end. */
export const bitString = (bytes: Uint8Array, unused = 0): Der => universal(asn1.Type.BITSTRING, false, String.fromCharCode(unused) + octets(bytes))
export const tagged = (tag: number, ...members: Der[]): Der => asn1.create(CONTEXT_SPECIFIC, tag, true, members)
/** An IMPLICIT context tag over a primitive. */
export const implicit = (tag: number, bytes: Uint8Array): Der => asn1.create(CONTEXT_SPECIFIC, tag, false, octets(bytes))

/** RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050; whole seconds. */
export function time(atMs: number): Der {
  const text = new Date(atMs).toISOString().replace(/[-:T]|\.\d{3}/g, '')
  return text < '2050' ? universal(asn1.Type.UTCTIME, false, text.slice(2)) : universal(asn1.Type.GENERALIZEDTIME, false, text)
}

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
