import { X509Certificate } from 'node:crypto'
import { at, list, text } from './json.ts'
import { byCells, type Row, type Table } from './row.ts'
import type { ShownResource } from './source.ts'

/** A certificate that a proxy holds, or a root that it trusts; never its private key. */
export interface SecretState {
  readonly name: string
  readonly type: string
  readonly status: string
  readonly serial: string
  readonly notAfter: string
  readonly notBefore: string
  readonly origins: readonly string[]
}

/**
 * @param secrets of a config dump, or as they were sent; Envoy's hold the certificates, Weft's say which there are
 * @param certificates a Weft proxy's `/certs`, which names them
 */
export function secretsOf(secrets: readonly ShownResource[], certificates: unknown): SecretState[] {
  const found = secrets
    .filter(({ type }) => type.endsWith('.Secret'))
    .map(({ name, state, origins, content }): SecretState => {
      const secret = at(content, 'secret') ?? content
      const named = list(certificates, 'certificates').find((one) => text(one, 'name') === name)
      const [told] = [...list(named, 'certChain'), ...list(named, 'caCert')]
      const chain = at(secret, 'tlsCertificate', 'certificateChain')
      const roots = at(secret, 'validationContext', 'trustedCa')
      const isRoot = roots !== undefined || text(content, 'kind') === 'roots' || list(named, 'caCert').length > 0
      const read = certificateIn(chain ?? roots)
      return {
        name,
        type: isRoot ? 'CA' : 'Cert Chain',
        status: state === 'STATIC' ? 'ACTIVE' : state,
        serial: read?.serialNumber.toLowerCase() ?? text(told, 'serialNumber'),
        notAfter: read?.validToDate.toISOString() ?? text(told, 'expirationTime'),
        notBefore: read?.validFromDate.toISOString() ?? text(told, 'validFrom'),
        origins,
      }
    })
  // Envoy keeps one for each way in which it is asked for.
  return [...new Map(found.map((one) => [JSON.stringify(one), one])).values()]
}

/** The first certificate of a data source; undefined where it is in a file, or hidden. */
function certificateIn(source: unknown): X509Certificate | undefined {
  const inline = text(source, 'inlineBytes')
  const pem = inline === '' ? text(source, 'inlineString') : Buffer.from(inline, 'base64').toString('utf8')
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) return undefined
  try {
    return new X509Certificate(pem)
  } catch {
    // The proxy that took it knows better what it is.
    return undefined
  }
}

/** RESOURCE NAME TYPE STATUS VALID CERT SERIAL NUMBER NOT AFTER NOT BEFORE */
export function secretTable(secrets: readonly SecretState[], nowMs: number): Table {
  const rows = secrets.map(({ name, type, status, serial, notAfter, notBefore, origins }): Row => {
    const valid = notAfter === '' ? '-' : String(Date.parse(notBefore) <= nowMs && nowMs < Date.parse(notAfter))
    return { cells: [name, type, status, valid, serial || '-', secondsOf(notAfter), secondsOf(notBefore), origins.join(', ')], about: { name, status: status.toLowerCase() } }
  })
  return { header: ['RESOURCE NAME', 'TYPE', 'STATUS', 'VALID CERT', 'SERIAL NUMBER', 'NOT AFTER', 'NOT BEFORE', 'FROM'], rows: rows.sort(byCells) }
}

const secondsOf = (time: string): string => (time === '' ? '-' : time.replace(/\.\d+Z$/, 'Z'))
