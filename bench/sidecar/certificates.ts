import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BenchFiles } from './config.ts'

/** A root and a certificate for each SAN (as `URI:spiffe://…`, `DNS:a.example`), P-256, by openssl; files in `folder`, named by the keys. */
export function makeCertificates<Name extends string>(folder: string, sans: Readonly<Record<Name, string>>): Record<Name, BenchFiles> {
  const openssl = (...parameters: string[]): void => void execFileSync('openssl', parameters, { cwd: folder, stdio: 'ignore' })
  openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'root.key')
  openssl('req', '-x509', '-new', '-key', 'root.key', '-sha256', '-days', '2', '-subj', '/O=cluster.local', '-out', 'root.pem')
  const leaf = (name: string, san: string): BenchFiles => {
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', `${name}.key`)
    openssl('req', '-new', '-key', `${name}.key`, '-subj', '/', '-out', `${name}.csr`)
    writeFileSync(join(folder, `${name}.ext`), `subjectAltName=critical,${san}\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=critical,CA:FALSE\n`)
    openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'root.pem', '-CAkey', 'root.key', '-CAcreateserial', '-days', '2', '-sha256', '-extfile', `${name}.ext`, '-out', `${name}.pem`)
    return { certificate: join(folder, `${name}.pem`), key: join(folder, `${name}.key`), roots: join(folder, 'root.pem') }
  }
  return Object.fromEntries(Object.entries<string>(sans).map(([name, san]) => [name, leaf(name, san)])) as Record<Name, BenchFiles>
}

/** Certificates of two workloads with SPIFFE names. */
export const workloadCertificates = (folder: string): { client: BenchFiles; server: BenchFiles } =>
  makeCertificates(folder, { client: 'URI:spiffe://cluster.local/ns/default/sa/client', server: 'URI:spiffe://cluster.local/ns/default/sa/server' })
