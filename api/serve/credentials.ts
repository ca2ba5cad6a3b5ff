import { isIP } from 'node:net'
import { status } from '@grpc/grpc-js'
import { Faults } from '#core/fault/fault.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { readNodeId } from '#core/workload/node-message.ts'
import type { Peer, ServeDoors } from './peer.ts'
import type { ProvenPeer, TrustStore } from './trust.ts'

/** The part of a call that tells who is there. */
export interface CallerSide {
  readonly metadata: { get(name: string): readonly (string | Buffer)[] }
  getPeer(): string
  getAuthContext(): { sslPeerCertificate?: { raw: Buffer } }
  /** The caller is known. */
  welcome?(): void
}

/** A call that ends with a status of its own. */
export class CallRefused extends Error {
  readonly code: status
  /** Another time it may be taken. */
  readonly isForNow: boolean

  constructor(code: status, details: string, isForNow = false) {
    super(details)
    this.code = code
    this.isForNow = isForNow
  }
}

/** What a call that ran into faults ends with. */
export function refusalBy(raised: Faults): CallRefused {
  const codes = new Set(raised.faults.map((one) => one.code))
  const code = codes.has('access.unauthenticated') ? status.UNAUTHENTICATED : codes.has('access.forbidden') ? status.PERMISSION_DENIED : codes.has('object.not-found') ? status.NOT_FOUND : status.INVALID_ARGUMENT
  return new CallRefused(code, raised.message)
}

export const bearerOf = (call: CallerSide): string | undefined => {
  const [value] = call.metadata.get('authorization')
  return typeof value === 'string' ? /^bearer ([\x21-\x7e]{1,8192})$/i.exec(value)?.[1] : undefined
}

/** What the peer's certificate proves, when TLS verified one. */
export const provenBy = (call: CallerSide, trust: TrustStore | undefined): ProvenPeer | undefined => {
  const raw = call.getAuthContext().sslPeerCertificate?.raw
  return raw && trust?.prove(raw)
}

/**
 * Who is at the other end, before anything it says of itself (xds-rules 2). TLS asks for a certificate and takes none for an answer, so every method asks here.
 * @param trust undefined on the plaintext port
 * @throws CallRefused UNAUTHENTICATED
 */
export async function identify(call: CallerSide, doors: Pick<ServeDoors, 'authenticate'>, trust: TrustStore | undefined): Promise<Peer> {
  const certificate = provenBy(call, trust)
  const bearer = bearerOf(call)
  const loopbackPlaintext = trust === undefined && isLoopback(call.getPeer())
  if (!certificate && bearer === undefined && !loopbackPlaintext) throw new CallRefused(status.UNAUTHENTICATED, 'neither a certificate of this mesh nor a token was shown')
  try {
    const peer = await doors.authenticate({ ...(certificate ? { certificate } : {}), ...(bearer === undefined ? {} : { bearer }), loopbackPlaintext })
    call.welcome?.()
    return peer
  } catch (raised) {
    throw raised instanceof Faults ? refusalBy(raised) : raised
  }
}

/** What a node says that its credential contradicts, in words; undefined when they agree (xds-rules 2). */
export function contradiction(peer: Peer, node: ProxyNode): string | undefined {
  const allowed = peer.identity ?? peer.bound
  if (!allowed) return undefined
  const credential = peer.how === 'certificate' ? 'certificate' : 'token'
  const within = readNodeId(node.id)
  const differs = (said: string, may: string): boolean => may !== '*' && said !== '' && said !== may
  if (within.type !== undefined && differs(within.namespace, allowed.namespace)) return `the node id lies in namespace ${within.namespace}, the ${credential} in ${allowed.namespace}`
  if (within.type !== undefined && within.namespace !== node.namespace) return `the node id lies in namespace ${within.namespace}, the node in ${node.namespace}`
  if (differs(node.namespace, allowed.namespace)) return `the node says namespace ${node.namespace}, the ${credential} ${allowed.namespace}`
  if (differs(node.serviceAccount, allowed.serviceAccount)) return `the node says service account ${node.serviceAccount}, the ${credential} ${allowed.serviceAccount}`
  return undefined
}

/** `ADDRESS:PORT`, as grpc-js writes it: IPv6 without brackets. */
export function isLoopback(peer: string): boolean {
  const address = peer.slice(0, peer.lastIndexOf(':')).replace(/^::ffff:/, '')
  return address === '::1' || (isIP(address) === 4 && address.startsWith('127.'))
}
