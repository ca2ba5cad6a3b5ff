import net from 'node:net'
import type { SocketAddress } from '#core/workload/workload.ts'

/**
 * The PROXY protocol (haproxy.org/download/3.2/doc/proxy-protocol.txt): a balancer says in front of all other bytes who called it, and where.
 */

/** What the first bytes of a connection are. `lacking`: more of them are needed; `none`: no header, or not of a version that is taken; `bad`: it begins like one and is none. */
export type ProxyHeader = 'lacking' | 'none' | 'bad' | ProxiedConnection

export interface ProxiedConnection {
  /** Bytes of the header. */
  readonly length: number
  /** Who called the balancer, and where; undefined where it speaks for itself (LOCAL, UNKNOWN) or the client has no IP address. */
  readonly addresses: { readonly source: SocketAddress; readonly destination: SocketAddress } | undefined
}

/** `1`, `2` or both. */
export type ProxyVersions = readonly (1 | 2)[]

const V1 = Buffer.from('PROXY ', 'latin1')
/** §2.1: with its CRLF. */
const V1_BYTES_MAX = 107
const V2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const V2_HEAD = 16
/** §2.2: the length behind the head has 16 bits. */
export const PROXY_HEADER_BYTES_MAX = V2_HEAD + 0xffff

/** Reads what a connection begins with; `bytes` are all that came of it so far. */
export function readProxyHeader(bytes: Buffer, versions: ProxyVersions): ProxyHeader {
  if (versions.includes(2) && begins(bytes, V2)) return bytes.length < V2_HEAD ? 'lacking' : readV2(bytes)
  if (versions.includes(1) && begins(bytes, V1)) return bytes.length < V1.length ? 'lacking' : readV1(bytes)
  return bytes.length === 0 ? 'lacking' : 'none'
}

/** As far as both go. */
const begins = (bytes: Buffer, signature: Buffer): boolean => bytes.length > 0 && bytes.subarray(0, signature.length).equals(signature.subarray(0, bytes.length))

function readV1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, V1_BYTES_MAX).indexOf('\r\n', 0, 'latin1')
  if (end < 0) return bytes.length >= V1_BYTES_MAX ? 'bad' : 'lacking'
  const length = end + 2
  const [family, source = '', destination = '', from = '', to = '', ...more] = bytes.toString('latin1', V1.length, end).split(' ')
  if (family === 'UNKNOWN') return { length, addresses: undefined }
  const version = family === 'TCP4' ? 4 : family === 'TCP6' ? 6 : 0
  if (version === 0 || more.length > 0 || net.isIP(source) !== version || net.isIP(destination) !== version || source.includes('%') || destination.includes('%')) return 'bad'
  if (!PORT.test(from) || !PORT.test(to) || Number(from) > 0xffff || Number(to) > 0xffff) return 'bad'
  return { length, addresses: { source: { address: source, port: Number(from) }, destination: { address: destination, port: Number(to) } } }
}

const PORT = /^(?:0|[1-9]\d{0,4})$/

const LOCAL = 0x20
const PROXY = 0x21
/** §2.2: family and transport in one byte. */
const UNSPECIFIED = 0x00
const TCP4 = 0x11
const TCP6 = 0x21
const UNIX_STREAM = 0x31
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([[TCP4, 12], [TCP6, 36], [UNIX_STREAM, 216], [UNSPECIFIED, 0]])

function readV2(bytes: Buffer): ProxyHeader {
  const command = bytes.readUInt8(12)
  if (command !== LOCAL && command !== PROXY) return 'bad'
  const length = V2_HEAD + bytes.readUInt16BE(14)
  const family = bytes.readUInt8(13)
  const needed = ADDRESS_BYTES.get(family)
  // What stands behind LOCAL is to be passed over; of anything else the transport must be a stream, and the addresses whole.
  if (command === PROXY && (needed === undefined || length < V2_HEAD + needed)) return 'bad'
  if (bytes.length < length) return 'lacking'
  if (command === LOCAL || (family !== TCP4 && family !== TCP6)) return { length, addresses: undefined }
  const width = family === TCP4 ? 4 : 16
  const at = (offset: number): string => (family === TCP4 ? [...bytes.subarray(offset, offset + 4)].join('.') : v6(bytes, offset))
  const ports = V2_HEAD + 2 * width
  return {
    length,
    addresses: { source: { address: at(V2_HEAD), port: bytes.readUInt16BE(ports) }, destination: { address: at(V2_HEAD + width), port: bytes.readUInt16BE(ports + 2) } },
  }
}

/** Canonical text (RFC 5952); IPv4 in IPv6 as IPv4. */
function v6(bytes: Buffer, offset: number): string {
  const groups = Array.from({ length: 8 }, (_, nth) => bytes.readUInt16BE(offset + 2 * nth))
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) return [...bytes.subarray(offset + 12, offset + 16)].join('.')
  return new URL(`http://[${groups.map((group) => group.toString(16)).join(':')}]`).hostname.slice(1, -1)
}

/** The header that goes in front of a connection to an upstream. Without addresses it says that the proxy speaks for itself. */
export function writeProxyHeader(version: 1 | 2, addresses: ProxiedConnection['addresses']): Buffer {
  const family = addresses === undefined ? 0 : net.isIP(addresses.source.address)
  const known = addresses !== undefined && family !== 0 && net.isIP(addresses.destination.address) === family ? addresses : undefined
  if (version === 1) {
    return Buffer.from(known === undefined ? 'PROXY UNKNOWN\r\n' : `PROXY TCP${family} ${known.source.address} ${known.destination.address} ${known.source.port} ${known.destination.port}\r\n`, 'latin1')
  }
  if (known === undefined) return Buffer.concat([V2, Buffer.from([LOCAL, UNSPECIFIED, 0, 0])])
  const body = Buffer.concat([packed(known.source.address, family), packed(known.destination.address, family), port(known.source.port), port(known.destination.port)])
  return Buffer.concat([V2, Buffer.from([PROXY, family === 4 ? TCP4 : TCP6, 0, body.length]), body])
}

const port = (number: number): Buffer => Buffer.from([number >> 8, number & 0xff])

/** Network order. */
function packed(address: string, family: number): Buffer {
  if (family === 4) return Buffer.from(address.split('.').map(Number))
  const [head = '', tail] = new URL(`http://[${address.replace(/%.*$/, '')}]`).hostname.slice(1, -1).split('::')
  const before = head === '' ? [] : head.split(':')
  const behind = tail === undefined || tail === '' ? [] : tail.split(':')
  const middle = tail === undefined ? [] : Array.from({ length: 8 - before.length - behind.length }, () => '0')
  const bytes = Buffer.alloc(16)
  for (const [nth, group] of [...before, ...middle, ...behind].entries()) bytes.writeUInt16BE(Number.parseInt(group, 16), 2 * nth)
  return bytes
}
