import { lookup } from 'node:dns'
import { request as requestHttp } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { BlockList, isIP } from 'node:net'
import type { LookupFunction } from 'node:net'

const BODY_MAX = 1024 * 1024
const TIMEOUT_MS = 10_000

/** Addresses that are of the control plane's own surroundings (RFC 6890): loopback, private, link-local with the clouds' metadata services, and all that is no single host. */
const OWN_SURROUNDINGS = new BlockList()
for (const [network, bits] of [['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12], ['192.0.0.0', 24], ['192.168.0.0', 16], ['198.18.0.0', 15], ['224.0.0.0', 4], ['240.0.0.0', 4]] as const) OWN_SURROUNDINGS.addSubnet(network, bits, 'ipv4')
for (const [network, bits] of [['::', 96], ['::ffff:0:0', 96], ['64:ff9b::', 96], ['64:ff9b:1::', 48], ['100::', 64], ['2001::', 32], ['2002::', 16], ['fc00::', 7], ['fe80::', 10], ['ff00::', 8]] as const) OWN_SURROUNDINGS.addSubnet(network, bits, 'ipv6')

/** A URL or an address that a tenant may not have the control plane ask. */
export class OutboundRefused extends Error {}

const isOwnSurroundings = (address: string): boolean => OWN_SURROUNDINGS.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')

export interface OutboundRequest {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

/** How much of a place outside is taken. */
export interface OutboundBounds {
  /** Whoever runs the installation allows private networks, and HTTP too: places within a company, and on a developer's machine. */
  readonly privateNetworks: boolean
  readonly bytesMax: number
  /** Gives up. */
  readonly signal: AbortSignal
}

/** What a place outside answered; of a header that came several times all values, separated by commas. */
export interface Outside {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/**
 * One request to a place that a tenant names: no redirects, a bound on time and size, HTTPS only, and never into the control plane's own surroundings. The address is judged as it is connected to,
 * so that a name which means something else a moment later gains nothing.
 * @throws OutboundRefused; Error when the place does not answer
 */
export function fetchOutside(url: URL, asked: OutboundRequest, { privateNetworks, bytesMax, signal }: OutboundBounds): Promise<Outside> {
  return new Promise((resolve, reject) => {
    const secure = url.protocol === 'https:'
    if (!secure && !(privateNetworks && url.protocol === 'http:')) throw new OutboundRefused('HTTPS only')
    const host = url.hostname.replace(/^\[|\]$/g, '')
    if (!privateNetworks && isIP(host) !== 0 && isOwnSurroundings(host)) throw new OutboundRefused('an address that is not public')
    const send = secure ? requestHttps : requestHttp
    const outgoing = send(url, { method: asked.method, headers: { ...asked.headers }, agent: false, signal, ...(privateNetworks ? {} : { lookup: publicLookup }) }, (incoming) => {
      readAll(incoming, bytesMax).then((body) => resolve({ status: incoming.statusCode ?? 502, headers: headersOf(incoming), body }), reject)
    })
    outgoing.on('error', reject)
    outgoing.end(asked.body)
  })
}

/**
 * The same as `fetch` has it, for what is small.
 * @throws OutboundRefused; Error when the place does not answer
 */
export async function askOutside(url: URL, asked: OutboundRequest, privateNetworks: boolean): Promise<Response> {
  const { status, headers, body } = await fetchOutside(url, asked, { privateNetworks, bytesMax: BODY_MAX, signal: AbortSignal.timeout(TIMEOUT_MS) })
  const hasBody = ![101, 204, 205, 304].includes(status)
  return new Response(hasBody ? new Uint8Array(body) : null, { status, headers })
}

const publicLookup: LookupFunction = (hostname, options, done) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return done(error, '')
    const [first] = addresses
    if (first === undefined || addresses.some(({ address }) => isOwnSurroundings(address))) return done(new OutboundRefused('a name of an address that is not public'), '')
    if (options.all) return done(null, addresses)
    done(null, first.address, first.family)
  })
}

async function readAll(incoming: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of incoming as AsyncIterable<Buffer>) {
    size += piece.length
    if (size > bytesMax) {
      incoming.destroy()
      throw new OutboundRefused(`an answer of more than ${bytesMax} bytes`)
    }
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

const headersOf = (incoming: IncomingMessage): Record<string, string> =>
  Object.fromEntries(Object.entries(incoming.headers).flatMap(([name, value]) => (value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]])))
