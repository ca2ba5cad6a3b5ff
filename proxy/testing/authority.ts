import { createPublicKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto'
import { bitString, booleanTrue, contextConstructed, contextPrimitive, objectIdentifier, octetString, sequence, set, smallInteger } from '../identity/der.ts'

/** A certificate authority for tests of the proxy, which may not import the control plane's. Signs what it is told to. */
export interface Authority {
  readonly rootPem: string
  /** A certificate for a public key. `uri` or `address` becomes its only name. */
  issue(publicKey: KeyObject, name: { uri?: string; address?: string; dns?: string }, notBeforeMs: number, notAfterMs: number): string
}

const algorithm = sequence(objectIdentifier('1.2.840.10045.4.3.2'))
const COMMON_NAME = '2.5.4.3'
const SUBJECT_ALT_NAME = '2.5.29.17'
const BASIC_CONSTRAINTS = '2.5.29.19'

const name = (commonName: string): Buffer =>
  commonName === '' ? sequence() : sequence(set(sequence(objectIdentifier(COMMON_NAME), Buffer.concat([Buffer.of(0x0c, commonName.length), Buffer.from(commonName)]))))

const time = (ms: number): Buffer => {
  const text = `${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`
  return Buffer.concat([Buffer.of(0x18, text.length), Buffer.from(text)])
}

export function createAuthority(commonName = 'test root'): Authority {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  let serial = 0

  const certificate = (subject: string, key: KeyObject, extensions: Buffer, notBeforeMs: number, notAfterMs: number): string => {
    serial += 1
    const tbs = sequence(
      contextConstructed(0, smallInteger(2)),
      smallInteger(serial % 128),
      algorithm,
      name(commonName),
      sequence(time(notBeforeMs), time(notAfterMs)),
      name(subject),
      key.export({ type: 'spki', format: 'der' }),
      contextConstructed(3, sequence(extensions)),
    )
    const der = sequence(tbs, algorithm, bitString(sign('sha256', tbs, { key: privateKey, dsaEncoding: 'der' })))
    return new X509Certificate(der).toString()
  }

  const ca = sequence(objectIdentifier(BASIC_CONSTRAINTS), booleanTrue(), octetString(sequence(booleanTrue())))
  const rootPem = certificate(commonName, publicKey, ca, Date.now() - 60_000, Date.now() + 86_400_000)
  return {
    rootPem,
    issue(key, { uri, address, dns }, notBeforeMs, notAfterMs) {
      const names = [
        ...(uri === undefined ? [] : [contextPrimitive(6, Buffer.from(uri))]),
        ...(dns === undefined ? [] : [contextPrimitive(2, Buffer.from(dns))]),
        ...(address === undefined ? [] : [contextPrimitive(7, Buffer.from(address.split('.').map(Number)))]),
      ]
      return certificate('', key, sequence(objectIdentifier(SUBJECT_ALT_NAME), booleanTrue(), octetString(sequence(...names))), notBeforeMs, notAfterMs)
    },
  }
}

const SPKI_OF_P256 = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex')

/** The P-256 public key in a certificate request, found by its fixed prefix: enough for requests that we made ourselves. */
export function publicKeyOf(csrPem: string): KeyObject {
  const der = Buffer.from(csrPem.replace(/-----[^-]+-----/g, ''), 'base64')
  const start = der.indexOf(SPKI_OF_P256)
  return createPublicKey({ key: der.subarray(start, start + SPKI_OF_P256.length + 65), format: 'der', type: 'spki' })
}
