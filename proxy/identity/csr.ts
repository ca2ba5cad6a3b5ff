import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { bitString, booleanTrue, contextConstructed, contextPrimitive, objectIdentifier, octetString, sequence, set, smallInteger } from './der.ts'

const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'
const EXTENSION_REQUEST = '1.2.840.113549.1.9.14'
const SUBJECT_ALT_NAME = '2.5.29.17'
/** GeneralName's choice `uniformResourceIdentifier`, RFC 5280 §4.2.1.6. */
const URI_NAME = 6

/** A new P-256 key. It is a KeyObject of this process and is written nowhere. */
export function generateKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

/**
 * A certificate request (RFC 2986) for a SPIFFE ID: empty subject, so the one SAN is critical (RFC 5280 §4.2.1.6).
 * @returns PEM
 */
export function createCsr(key: KeyObject, uri: string): string {
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' })
  const names = sequence(contextPrimitive(URI_NAME, Buffer.from(uri, 'latin1')))
  const extension = sequence(objectIdentifier(SUBJECT_ALT_NAME), booleanTrue(), octetString(names))
  const attributes = contextConstructed(0, sequence(objectIdentifier(EXTENSION_REQUEST), set(sequence(extension))))
  const info = sequence(smallInteger(0), sequence(), publicKey, attributes)
  const signature = sign('sha256', info, { key, dsaEncoding: 'der' })
  return pem('CERTIFICATE REQUEST', sequence(info, sequence(objectIdentifier(ECDSA_WITH_SHA256)), bitString(signature)))
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
