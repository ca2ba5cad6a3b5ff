import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Pair { readonly certificate: string; readonly privateKey: string }

/** An authority made by OpenSSL, which also revokes: what gateways meet outside the mesh. */
export interface TestAuthority {
  readonly certificate: string
  /** A certificate for DNS names, or for a client by its common name. */
  issue(names: readonly string[]): Pair & { readonly serial: string }
  /** A list of what it takes back, PEM. */
  revoke(serials: readonly string[]): string
}

/** @throws Error with OpenSSL's words, also where there is no OpenSSL */
export function testAuthority(commonName: string): TestAuthority {
  let serial = 4096
  const inFolder = <T>(work: (folder: string) => T): T => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-ca-'))
    try {
      return work(folder)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
  const own = inFolder((folder): Pair => {
    openssl(folder, 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '30', '-subj', `/CN=${commonName}`)
    return { certificate: readFileSync(join(folder, 'ca.pem'), 'utf8'), privateKey: readFileSync(join(folder, 'ca.key'), 'utf8') }
  })
  const place = (folder: string): void => {
    writeFileSync(join(folder, 'ca.pem'), own.certificate)
    writeFileSync(join(folder, 'ca.key'), own.privateKey)
  }
  return {
    certificate: own.certificate,
    issue: (names) =>
      inFolder((folder) => {
        place(folder)
        const number = (serial++).toString(16).toUpperCase()
        openssl(folder, 'req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'leaf.key', '-out', 'leaf.csr', '-subj', `/CN=${names[0] ?? 'nobody'}`)
        writeFileSync(join(folder, 'ext'), `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}\n`)
        openssl(folder, 'x509', '-req', '-in', 'leaf.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-set_serial', `0x${number}`, '-days', '10', '-extfile', 'ext', '-out', 'leaf.pem')
        return { certificate: readFileSync(join(folder, 'leaf.pem'), 'utf8'), privateKey: readFileSync(join(folder, 'leaf.key'), 'utf8'), serial: number }
      }),
    revoke: (serials) =>
      inFolder((folder) => {
        place(folder)
        writeFileSync(join(folder, 'index.txt'), serials.map((one) => `R\t340101000000Z\t240101000000Z\t${one}\tunknown\t/CN=revoked\n`).join(''))
        writeFileSync(join(folder, 'crlnumber'), '01\n')
        writeFileSync(join(folder, 'ca.cnf'), '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=30\n')
        openssl(folder, 'ca', '-gencrl', '-config', 'ca.cnf', '-keyfile', 'ca.key', '-cert', 'ca.pem', '-out', 'crl.pem')
        return readFileSync(join(folder, 'crl.pem'), 'utf8')
      }),
  }
}

function openssl(folder: string, ...parameters: string[]): void {
  const { status, stderr, error } = spawnSync('openssl', parameters, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`openssl ${parameters.join(' ')}: ${stderr}`)
}
