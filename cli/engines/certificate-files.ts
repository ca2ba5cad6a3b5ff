import { createHash, X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { onExit } from './on-exit.ts'

/** Where a configuration says that certificates lie: `root.pem` (who signed all that applications show), `stranger.pem` (who signed none), `client.pem`, `server.pem` and their keys, `revoked.crl` (what the first of them took back); `client.hash` and `client.spki` stand for the hashes themselves. */
const SAID = '/etc/weft-test/'

/** Certificates of a run, in files. */
export interface CertificateFiles {
  /** The path that a text stands for, or the hash, or the text itself. */
  place(text: string): string
  /** What lies in the file that a text stands for, or the text itself. */
  text(text: string): string
  remove(): void
}

export function writeCertificates(files: Readonly<Record<string, string>>): CertificateFiles {
  const folder = mkdtempSync(path.join(tmpdir(), 'weft-certificates-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  const takeBack = onExit(remove)
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text)
  const hashes = hashesOf(files['client.pem'])
  return {
    place: (text) => (text.startsWith(SAID) ? (hashes[text.slice(SAID.length)] ?? path.join(folder, text.slice(SAID.length))) : text),
    text: (text) => files[text.startsWith(SAID) ? text.slice(SAID.length) : ''] ?? text,
    remove: () => {
      takeBack()
      remove()
    },
  }
}

/** SHA-256 of a certificate in hex, and of its key in base64. */
function hashesOf(pem: string | undefined): Readonly<Record<string, string>> {
  if (pem === undefined) return {}
  const certificate = new X509Certificate(pem)
  return {
    'client.hash': certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    'client.spki': createHash('sha256').update(certificate.publicKey.export({ type: 'spki', format: 'der' })).digest('base64'),
  }
}
