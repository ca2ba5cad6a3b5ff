import type { Socket } from 'node:net'
import type { SocketAddress } from '#core/workload/workload.ts'

/** linux/in.h, linux/in6.h, linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h */
const SOL_IP = 0
const SOL_IPV6 = 41
const SO_ORIGINAL_DST = 80

type GetSockOpt = (fd: number, level: number, option: number, value: Uint8Array, length: Uint8Array) => number

const library: { getsockopt?: GetSockOpt } = {}

/** From the C library that the process has already: nothing is loaded. Node's door to it is experimental, so that only who captures opens it. */
function getsockopt(): GetSockOpt {
  return (library.getsockopt ??= process.getBuiltinModule('node:ffi').dlopen(null, { getsockopt: { return: 'i32', arguments: ['i32', 'i32', 'i32', 'buffer', 'buffer'] } }).functions.getsockopt)
}

/**
 * Where an accepted connection was going before a redirect of nftables or iptables brought it here, as the kernel's connection tracking remembers it.
 * Undefined when it came here of itself, or this is not Linux.
 */
export function originalDestination(socket: Socket): SocketAddress | undefined {
  if (process.platform !== 'linux') return undefined
  const fd = fileDescriptorOf(socket)
  if (fd === undefined) return undefined
  const isFour = socket.localFamily === 'IPv4' || socket.localAddress?.startsWith('::ffff:') === true
  const value = Buffer.alloc(28)
  const length = Buffer.alloc(4)
  length.writeInt32LE(isFour ? 16 : 28)
  if (getsockopt()(fd, isFour ? SOL_IP : SOL_IPV6, SO_ORIGINAL_DST, value, length) !== 0) return undefined
  const found = { address: isFour ? value.subarray(4, 8).join('.') : sixText(value.subarray(8, 24)), port: value.readUInt16BE(2) }
  // What was not redirected is told as it is.
  return found.port === socket.localPort && sameAddress(found.address, socket.localAddress ?? '') ? undefined : found
}

/** Node keeps the descriptor in a place of its own, and offers no other. */
function fileDescriptorOf(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle')
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined
  return typeof fd === 'number' && fd >= 0 ? fd : undefined
}

/** RFC 5952, as the URL parser writes it. */
function sixText(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, at) => (((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0)).toString(16))
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1)
}

const sameAddress = (a: string, b: string): boolean => a === (b.startsWith('::ffff:') ? b.slice(7) : b)
