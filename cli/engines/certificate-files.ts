import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** Where a configuration says that certificates lie: `root.pem` (who signed all that applications show), `stranger.pem` (who signed none), `client.pem` and `client-key.pem`. */
const SAID = '/etc/weft-test/'

/** Certificates of a run, in files. */
export interface CertificateFiles {
  /** The path that a text stands for, or the text itself. */
  place(text: string): string
  remove(): void
}

export function writeCertificates(files: Readonly<Record<string, string>>): CertificateFiles {
  const folder = mkdtempSync(path.join(tmpdir(), 'weft-certificates-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  process.once('exit', remove)
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text)
  return {
    place: (text) => (text.startsWith(SAID) ? path.join(folder, text.slice(SAID.length)) : text),
    remove: () => {
      process.removeListener('exit', remove)
      remove()
    },
  }
}
