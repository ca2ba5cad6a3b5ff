import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { keyPem, type WorkloadCertificate } from './certificate.ts'

/** The files of a gRPC bootstrap's certificate provider (gRFC A29, `file_watcher`). */
export const certificateFiles = (folder: string): { readonly certificate: string; readonly privateKey: string; readonly roots: string } => ({
  certificate: path.resolve(folder, 'cert-chain.pem'),
  privateKey: path.resolve(folder, 'key.pem'),
  roots: path.resolve(folder, 'root-cert.pem'),
})

/** Writes a certificate where gRPC reads it, each file as a whole; the key for its owner alone. A reader that meets the new key with the old chain looks again at its next interval. */
export function writeCertificateFiles(folder: string, certificate: WorkloadCertificate): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const files = certificateFiles(folder)
  const contents = [
    [files.roots, certificate.rootsPem],
    [files.privateKey, keyPem(certificate.key)],
    [files.certificate, certificate.chainPem],
  ] as const
  for (const [file, content] of contents) {
    writeFileSync(`${file}.new`, content, { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }
}
