import { mkdirSync, readFileSync, writeFileSync, existsSync } from 'node:fs'
import path from 'node:path'
import { makeRoot, readAuthority } from '#api/ca/root.ts'
import { serverCertificate } from '#api/ca/sign.ts'

const lifetimeMs = 365 * 24 * 3_600_000

/** A certificate for the demo's gateway, from an authority made for it and forgotten: nothing else will ever be signed by it. Made once a data folder. */
export function demoCertificate(dataDir: string, host: string): { certificatePem: string; keyPem: string; caFile: string } {
  const dir = path.join(dataDir, 'api-tls-cert')
  const files = { ca: path.join(dir, 'ca.pem'), certificate: path.join(dir, 'tls.crt'), key: path.join(dir, 'tls.key') }
  if (!existsSync(files.key)) {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    const nowMs = Date.now()
    const root = makeRoot({ organization: 'Weft demo', nowMs })
    const made = serverCertificate(readAuthority(root), [host], nowMs, lifetimeMs)
    writeFileSync(files.ca, root.certificate)
    writeFileSync(files.certificate, made.certificate)
    writeFileSync(files.key, made.privateKey, { mode: 0o600 })
  }
  return { certificatePem: readFileSync(files.certificate, 'utf8'), keyPem: readFileSync(files.key, 'utf8'), caFile: files.ca }
}
