import { createHash, type X509Certificate } from 'node:crypto'

/** The SAN list as Node prints it: `URI:spiffe://…, DNS:…`; entries with commas or quotes come JSON-quoted, which no SPIFFE or DNS name needs, so those are left out. */
function sansOf(certificate: X509Certificate, prefix: string): string[] {
  const found: string[] = []
  for (const entry of (certificate.subjectAltName ?? '').split(', ')) {
    if (entry.startsWith(prefix) && !entry.includes('"')) found.push(entry.slice(prefix.length))
  }
  return found
}

export const uriSansOf = (certificate: X509Certificate): string[] => sansOf(certificate, 'URI:')
export const dnsSansOf = (certificate: X509Certificate): string[] => sansOf(certificate, 'DNS:')

/** SHA-256 of the DER form, as XFCC's `Hash`: lower-case hex. */
export const certificateHash = (certificate: X509Certificate): string => certificate.fingerprint256.replaceAll(':', '').toLowerCase()

/** SHA-256 of the key in its DER form (SubjectPublicKeyInfo), base64, as RFC 7469 pins it. */
export const keyHash = (certificate: X509Certificate): string => createHash('sha256').update(certificate.publicKey.export({ type: 'spki', format: 'der' })).digest('base64')
