import { generateKeyPairSync } from 'node:crypto'
import { isIP } from 'node:net'
import { formatSpiffeId, type SpiffeId } from '#core/identity/spiffe.ts'
import { issue } from './certificate.ts'
import type { CertificateRequest } from './csr.ts'
import { type Authority, backdateMs } from './root.ts'

/** No leaf lives longer. */
export const leafMsMax = 24 * 3_600_000
/** Shorter ones would be renewed all the time. */
const leafMsMin = 60_000

export interface SignedLeaf {
  /** PEM certificates: the leaf, then the root that signed it. */
  readonly chain: readonly string[]
  readonly notAfterMs: number
}

/**
 * A workload's certificate (X509-SVID): its SPIFFE ID as the only name, for client and server, never outliving its issuer.
 * @param lifetimeMs asked for; cut to between a minute and 24 hours
 */
export function signWorkload(authority: Authority, of: { request: CertificateRequest; identity: SpiffeId; nowMs: number; lifetimeMs?: number }): SignedLeaf {
  const { request, nowMs } = of
  const lifetimeMs = Math.min(Math.max(of.lifetimeMs ?? leafMsMax, leafMsMin), leafMsMax)
  const notAfterMs = Math.min(nowMs + lifetimeMs, authority.notAfterMs)
  const body = {
    subject: [],
    publicKey: request.publicKey,
    names: [{ kind: 'uri' as const, value: formatSpiffeId(of.identity) }],
    notBeforeMs: nowMs - backdateMs,
    notAfterMs,
    authority: false,
  }
  return { chain: [issue(body, authority.signer), authority.certificate], notAfterMs }
}

/**
 * A key and certificate for the control plane's own ports.
 * @param names host names, IP addresses and URIs by which it is known
 * @param lifetimeMs 24 hours when not given; cut to the authority's own
 */
export function serverCertificate(authority: Authority, names: readonly string[], nowMs: number, lifetimeMs = leafMsMax): { certificate: string; privateKey: string; notAfterMs: number } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const notAfterMs = Math.min(nowMs + lifetimeMs, authority.notAfterMs)
  const body = {
    subject: [],
    publicKey: spki,
    names: names.map((value) => ({ kind: value.includes('://') ? ('uri' as const) : isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value })),
    notBeforeMs: nowMs - backdateMs,
    notAfterMs,
    authority: false,
  }
  return { certificate: issue(body, authority.signer), privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), notAfterMs }
}
