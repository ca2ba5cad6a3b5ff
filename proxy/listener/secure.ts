import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { ServerTlsPlan } from '#core/plan/listener.ts'
import type { Clock } from '#core/time/clock.ts'
import type { SecretSource } from '../sources.ts'
import { certificateHash, dnsSansOf, keyHash, uriSansOf } from './peer-certificate.ts'

/** A client that does not finish its handshake by then is dropped, where its chain sets no time: Istio's. */
const HANDSHAKE_TIMEOUT_MS = 15_000

/** A client, as its TLS handshake proved it. */
export interface SecuredClient {
  readonly socket: TLSSocket
  readonly uriSans: readonly string[]
  readonly dnsSans: readonly string[]
  readonly tlsVersion: string
  /** Element of `x-forwarded-client-cert`, empty without a client certificate. */
  readonly xfcc: string
}

/** What a chain that passes bytes on cannot promise for its application. */
const HTTP = new Set(['h2', 'http/1.1', 'http/1.0'])

/**
 * Serves TLS on an accepted socket whose read bytes were put back. Calls `secured` when the handshake is done and the client is whom the plan demands;
 * else the connection is closed, after `late` where it took too long. The alert of RFC 7301 §3.2 is avoided as Envoy does: without a common protocol none is chosen.
 */
export function serveTls(raw: Socket, plan: ServerTlsPlan, opaque: boolean, offered: readonly string[], secrets: SecretSource, clock: Clock, secured: (client: SecuredClient) => void, late: () => void): void {
  const context = secrets.serverContext(plan)
  if (context === undefined) {
    raw.destroy()
    return
  }
  const common = plan.alpn.filter((protocol) => offered.includes(protocol) && !(opaque && HTTP.has(protocol)))
  const socket = new TLSSocket(raw, {
    isServer: true,
    secureContext: context,
    requestCert: plan.trust !== undefined,
    rejectUnauthorized: false,
    ...(common.length > 0 && { ALPNProtocols: alpnBytes(common) }),
  })
  const timer = clock.after(plan.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS, () => {
    late()
    socket.destroy()
  })
  raw.on('error', () => raw.destroy())
  socket.on('error', () => socket.destroy())
  socket.once('close', () => timer.cancel())
  socket.once('secure', () => {
    timer.cancel()
    const judged = judgeClient(socket, plan)
    if (judged === undefined) socket.destroy()
    else secured(judged)
  })
}

const knownAlpn = new Map<string, Buffer>()
const KNOWN_ALPN_MAX = 64

/** Protocols as TLS writes them (RFC 7301 §3.1). A listener has few sets of them, which Node would write anew for each connection: a twentieth of what a handshake costs in JavaScript. */
function alpnBytes(protocols: readonly string[]): Buffer {
  const key = protocols.join()
  const known = knownAlpn.get(key)
  if (known !== undefined) return known
  const made = Buffer.concat(protocols.flatMap((one) => [Buffer.of(one.length), Buffer.from(one, 'latin1')]))
  if (knownAlpn.size < KNOWN_ALPN_MAX) knownAlpn.set(key, made)
  return made
}

/** Undefined: refused. */
function judgeClient(socket: TLSSocket, plan: ServerTlsPlan): SecuredClient | undefined {
  const tlsVersion = socket.getProtocol() ?? ''
  const anonymous: SecuredClient = { socket, uriSans: [], dnsSans: [], tlsVersion, xfcc: '' }
  if (plan.trust === undefined) return anonymous
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return plan.requireClientCertificate ? undefined : anonymous
  if (verifyError(socket) !== null) return undefined
  const uriSans = uriSansOf(certificate)
  const dnsSans = dnsSansOf(certificate)
  if (plan.allowedSans.length > 0 && !plan.allowedSans.some((allowed) => uriSans.some((name) => allowed.matches(name)) || dnsSans.some((name) => allowed.matches(name)))) return undefined
  if (plan.allowedClients !== undefined && !plan.allowedClients.hashes.includes(certificateHash(certificate)) && !plan.allowedClients.keys.includes(keyHash(certificate))) return undefined
  return { socket, uriSans, dnsSans, tlsVersion, xfcc: xfccElement(certificate, uriSans, socket.getX509Certificate()) }
}

/**
 * OpenSSL's verdict on the client's chain. `tls.Server` asks this very method and stores the answer as `authorized`; a TLSSocket made over an accepted socket leaves the asking to its maker.
 */
function verifyError(socket: TLSSocket): unknown {
  const handle: unknown = Reflect.get(socket, '_handle')
  if (typeof handle !== 'object' || handle === null) return new Error('the connection is closed')
  const ask: unknown = Reflect.get(handle, 'verifyError')
  if (typeof ask !== 'function') throw new Error('this Node has no verifyError: client certificates cannot be judged')
  return Reflect.apply(ask, handle, []) ?? null
}

/** Envoy's element (docs: http_conn_man/headers#x-forwarded-client-cert) with By, Hash, Subject and URI, as Istio sets it. */
function xfccElement(client: X509Certificate, uriSans: readonly string[], own: X509Certificate | undefined): string {
  const by = own === undefined ? '' : (uriSansOf(own)[0] ?? '')
  const subject = client.subject === undefined ? '' : client.subject.split('\n').reverse().join(',').replace(/["\\]/g, '\\$&')
  return `By=${by};Hash=${certificateHash(client)};Subject="${subject}";${uriSans.map((uri) => `URI=${uri}`).join(';')}`
}
