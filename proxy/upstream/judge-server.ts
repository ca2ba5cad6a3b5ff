import type { TLSSocket } from 'node:tls'
import type { ClientTlsPlan } from '#core/plan/cluster.ts'
import { dnsSansOf, uriSansOf } from '../listener/peer-certificate.ts'

/**
 * Judges whom a handshake reached, before a request is sent: empty when the server's certificate leads to our roots and bears one of the names that the plan allows, be it a SPIFFE ID of the mesh or the
 * name of a host outside; else what is wrong, in Envoy's words. A plan that allows no name takes all that the roots vouch for, `unverified` takes anybody.
 */
export function judgeServer(socket: TLSSocket, plan: ClientTlsPlan): string {
  if (plan.unverified === true) return ''
  if (!socket.authorized) return `TLS_error:CERTIFICATE_VERIFY_FAILED:${String(socket.authorizationError)}`
  if (plan.allowedSans.length === 0) return ''
  const certificate = socket.getPeerX509Certificate()
  const names = certificate === undefined ? [] : [...uriSansOf(certificate), ...dnsSansOf(certificate)]
  return plan.allowedSans.some((allowed) => names.some((name) => allowed.matches(name))) ? '' : 'TLS_error:CERTIFICATE_VERIFY_FAILED:SAN_matcher'
}
