import { type KeyObject, sign } from 'node:crypto'
import { bitString, implicit, integer, objectId, octetString, oid, sequence, set, tagged, toPem } from './der.ts'

/**
 * A PKCS #10 request (RFC 2986) for tests, as a proxy makes it.
 * @param signWith another key than its own makes a forgery
 */
export function makeCsr(key: { publicKey: KeyObject; privateKey: KeyObject }, uris: readonly string[], signWith: KeyObject = key.privateKey): string {
  const names = sequence(...uris.map((uri) => implicit(6, Buffer.from(uri))))
  const extensions = sequence(sequence(objectId(oid.subjectAltName), octetString(names)))
  const attributes = uris.length > 0 ? [sequence(objectId(oid.extensionRequest), set(extensions))] : []
  const info = sequence(integer(Buffer.of(0)), sequence(), key.publicKey.export({ type: 'spki', format: 'der' }), tagged(0, ...attributes))
  const signature = sign('sha256', info, signWith)
  return toPem('CERTIFICATE REQUEST', sequence(info, sequence(objectId(oid.ecdsaWithSha256)), bitString(signature)))
}
