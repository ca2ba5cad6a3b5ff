import { sign, X509Certificate } from 'node:crypto'
import { integer, objectId, octetString, implicit, bitString, oid, sequence, tagged, time, toPem } from '#api/ca/der.ts'
import type { Authority } from '#api/ca/root.ts'

const DAY_MS = 24 * 3_600_000
const CRL_NUMBER = '2.5.29.20'
const ALGORITHM = sequence(objectId(oid.ecdsaWithSha256))
/** Version 2 is written as 1 (RFC 5280 §5.1.2.1). */
const VERSION = integer(Buffer.of(1))

/** What an authority took back (RFC 5280 §5.1), good for a day: certificates that it signed, PEM. Returns PEM. */
export function revocationList(authority: Authority, certificates: readonly string[], nowMs: number): string {
  const { subject, keyIdentifier, privateKey } = authority.signer
  const taken = certificates.map((pem) => sequence(integer(Buffer.from(new X509Certificate(pem).serialNumber, 'hex')), time(nowMs)))
  const extensions = sequence(
    sequence(objectId(oid.authorityKeyIdentifier), octetString(sequence(implicit(0, keyIdentifier)))),
    sequence(objectId(CRL_NUMBER), octetString(integer(Buffer.of(1)))),
  )
  // Proxies of other hosts may be a little behind.
  const toBeSigned = sequence(VERSION, ALGORITHM, subject, time(nowMs - 60_000), time(nowMs + DAY_MS), sequence(...taken), tagged(0, extensions))
  return toPem('X509 CRL', sequence(toBeSigned, ALGORITHM, bitString(sign('sha256', toBeSigned, privateKey))))
}
