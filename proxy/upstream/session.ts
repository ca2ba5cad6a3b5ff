import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { cookieValue } from '#core/balance/hash.ts'
import { isHealthy } from '#core/balance/locality.ts'
import type { SessionPlan } from '#core/plan/route.ts'
import type { Exchange } from '../http/exchange.ts'
import type { HttpRequestHead } from '../http/request-head.ts'
import type { Cluster } from './cluster.ts'
import type { UpstreamHost } from './host.ts'

/** The endpoint that the client brings back; undefined: none, or one that is not there or not healthy any more, and the balancer chooses. */
export function keptHost(session: SessionPlan, request: HttpRequestHead, cluster: Cluster): UpstreamHost | undefined {
  const address = broughtBack(session, request)
  const host = address === undefined ? undefined : cluster.hosts.get(address)
  return host !== undefined && isHealthy(host) ? host : undefined
}

/** Tells the client where it was served, unless it knows. */
export function tellHost(session: SessionPlan, exchange: Exchange, { plan }: UpstreamHost): void {
  const { request } = exchange
  if (!counts(session, request) || broughtBack(session, request) === `${plan.address}:${plan.port}`) return
  const address = plan.address.includes(':') ? `[${plan.address}]:${plan.port}` : `${plan.address}:${plan.port}`
  if (session.by === 'header') {
    exchange.responseFields += `${session.name}: ${Buffer.from(address, 'latin1').toString('base64')}\r\n`
    return
  }
  const age = session.ttlMs > 0 ? `; Max-Age=${Math.floor(session.ttlMs / 1000)}` : ''
  exchange.responseFields += `set-cookie: ${session.name}="${cookieOf(address)}"${age}${session.path === '' ? '' : `; Path=${session.path}`}; HttpOnly\r\n`
}

/** A cookie for some paths is none for the others. */
const counts = ({ by, path }: SessionPlan, request: HttpRequestHead): boolean => by === 'header' || path === '' || request.path === path || request.path.startsWith(path.endsWith('/') ? path : `${path}/`) || request.path.startsWith(`${path}?`)

/** `ADDRESS:PORT`, as endpoints go by. */
function broughtBack(session: SessionPlan, request: HttpRequestHead): string | undefined {
  if (!counts(session, request)) return undefined
  const text = session.by === 'header' ? request.header(session.name) : cookieValue(request.header('cookie'), session.name)
  if (text === undefined) return undefined
  const bytes = Buffer.from(text, 'base64')
  const address = session.by === 'header' ? bytes.toString('latin1') : addressIn(bytes)
  return address?.replace(/^\[(.*)\](:\d+)$/, '$1$2')
}

/** Field 1 of Envoy's message for these cookies (envoy, source/extensions/http/stateful_session/cookie/cookie.proto), so that a client may go to and fro between Envoys and Weft's proxies. */
const ADDRESS_FIELD = 1

const cookieOf = (address: string): string => Buffer.from(new BinaryWriter().tag(ADDRESS_FIELD, WireType.LengthDelimited).string(address).finish()).toString('base64')

/** Undefined: no such message; anybody may write a cookie. */
function addressIn(bytes: Uint8Array): string | undefined {
  try {
    const reader = new BinaryReader(bytes)
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag()
      if (field === ADDRESS_FIELD && type === WireType.LengthDelimited) return reader.string()
      reader.skip(type, field)
    }
  } catch {
    return undefined
  }
  return undefined
}
