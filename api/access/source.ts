import { BlockList, isIP } from 'node:net'
import { getConnInfo } from '@hono/node-server/conninfo'
import type { Context } from 'hono'

/** Peers whose word about others is believed: balancers and proxies before the control plane. */
export type TrustedProxies = Pick<BlockList, 'check'>

/**
 * Networks in CIDR notation, or addresses by themselves.
 * @throws RangeError that names the one which is neither
 */
export function trustedProxies(networks: readonly string[]): TrustedProxies {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', bits, ...rest] = network.split('/')
    const family = isIP(address)
    const bitsMax = family === 4 ? 32 : 128
    const prefix = bits === undefined ? bitsMax : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN
    if (family === 0 || rest.length > 0 || !(prefix <= bitsMax)) throw new RangeError(`${JSON.stringify(network)} is neither an address nor a network like 10.0.0.0/8`)
    list.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}

/**
 * Where a request comes from: the address of the peer, or, where that is a trusted proxy, the last address of `X-Forwarded-For` that is none. Each proxy adds whom it heard from at the end, so what lies
 * before the first stranger is what the stranger says, and is not believed. Empty where the app is asked without a socket.
 */
export function sourceOf(context: Context, trusted?: TrustedProxies): string {
  const peer = peerOf(context)
  return trusted === undefined || peer === '' ? peer : forwardedSource(peer, context.req.header('x-forwarded-for'), trusted)
}

/** The address of the peer alone, whatever it says of others. */
export function peerOf(context: Context): string {
  const bindings: unknown = context.env
  return typeof bindings === 'object' && bindings !== null && 'incoming' in bindings ? (getConnInfo(context).remote.address ?? '') : ''
}

export function forwardedSource(peer: string, forwardedFor: string | undefined, trusted: TrustedProxies): string {
  let source = peer
  for (const entry of (forwardedFor ?? '').split(',').reverse()) {
    if (!isTrusted(source, trusted)) return source
    const before = addressOf(entry.trim())
    // `unknown`, a made-up name, nothing: the last one who can be named is who asks.
    if (before === undefined) return source
    source = before
  }
  return source
}

function isTrusted(address: string, trusted: TrustedProxies): boolean {
  const bare = address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '').replace(/%.*$/, '')
  const family = isIP(bare)
  return family !== 0 && trusted.check(bare, family === 4 ? 'ipv4' : 'ipv6')
}

/** Some proxies write the port, too: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function addressOf(entry: string): string | undefined {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(entry)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(entry)?.[1] ?? entry
  return isIP(bare) === 0 ? undefined : bare
}
