import type { HashPlan } from '#core/plan/route.ts'
import { cookieValue, requestHash } from '#core/balance/hash.ts'
import { xxHash64Text } from '#core/balance/xxhash.ts'
import type { Exchange } from '../http/exchange.ts'

/**
 * The hash by which ring and table choose. Where a cookie with a lifetime is wanted and the client has none, one is made and set on the answer, so that the next request
 * comes to the same endpoint (envoy.config.route.v3.RouteAction.HashPolicy.Cookie).
 */
export function stickyHash(exchange: Exchange, policies: readonly HashPlan[]): bigint | undefined {
  const { request, peer, engine } = exchange
  for (const policy of policies) {
    if (policy.by !== 'cookie' || policy.ttlMs === undefined || cookieValue(request.header('cookie'), policy.name) !== undefined) continue
    const value = engine.identifiers.hex(8)
    const age = policy.ttlMs > 0 ? `; Max-Age=${Math.floor(policy.ttlMs / 1000)}` : ''
    exchange.responseFields += `set-cookie: ${policy.name}="${value}"${age}${policy.path === '' ? '' : `; Path=${policy.path}`}${(policy.attributes ?? []).map((one) => `; ${one}`).join('')}; HttpOnly\r\n`
    return xxHash64Text(value)
  }
  return requestHash(policies, request, peer.address)
}
