import { createHash, X509Certificate } from 'node:crypto'
import { type OrderState, secretText } from '#api/model/acme.ts'
import type { StoredSecret } from './state.ts'
import type { WantedCertificate } from './wanted.ts'

/** Marks Secrets that are the control plane's; whoever writes it on one of their own does not give that away. */
export const MANAGED = 'app.kubernetes.io/managed-by'

/**
 * What is to become of a wanted certificate's Secret: `order`: not there yet, over two thirds of its life, or for other hosts; `keep`: good as it is, or somebody else's;
 * `foreign`: it says that it is ours, and is not what was made here for any of these hosts, so it stays as it is until somebody deletes it.
 */
export function dueNow(secret: StoredSecret | undefined, order: OrderState, wanted: WantedCertificate, nowMs: number): 'order' | 'keep' | 'foreign' {
  if (secret === undefined) return 'order'
  if (secret.metadata.labels?.[MANAGED] !== 'weft') return 'keep'
  const pem = secretText(secret, 'tls.crt')
  const { made } = order
  if (pem === undefined || made?.sha256 !== digestOf(pem) || !made.hosts.some((host) => wanted.hosts.includes(host))) return 'foreign'
  const certificate = new X509Certificate(pem)
  const [fromMs, toMs] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)]
  return nowMs >= fromMs + ((toMs - fromMs) * 2) / 3 || made.hosts.join() !== wanted.hosts.join() ? 'order' : 'keep'
}

export const digestOf = (pem: string): string => createHash('sha256').update(pem).digest('hex')
