import { type KeyObject, sign } from 'node:crypto'
import { bitString, implicit, integer, objectId, octetString, oid, sequence, set, tagged } from '../ca/der.ts'

/** A request for a server's certificate under its DNS names (PKCS #10, RFC 2986), DER: RFC 8555 §7.4 sends it so. */
export function serverCsr(key: { publicKey: KeyObject; privateKey: KeyObject }, hosts: readonly string[]): Buffer {
  const names = sequence(...hosts.map((host) => implicit(2, Buffer.from(host))))
  const extensions = sequence(sequence(objectId(oid.subjectAltName), octetString(names)))
  const info = sequence(integer(Buffer.of(0)), sequence(), key.publicKey.export({ type: 'spki', format: 'der' }), tagged(0, sequence(objectId(oid.extensionRequest), set(extensions))))
  return sequence(info, sequence(objectId(oid.ecdsaWithSha256)), bitString(sign('sha256', info, key.privateKey)))
}
