import type { RouteSource, ScopePlan } from '../plan/http.ts'
import type { RequestHead } from './request.ts'

type Scoped = Extract<RouteSource, { kind: 'scoped' }>

/**
 * The key under which a request's route table is found: port and host as the listener's scope key builder joins them, `8080|order-service`;
 * on a port for explicit proxying the authority stays whole, `proxy|order-service:8080`.
 */
export function scopeKey(source: Scoped, request: RequestHead): string {
  const { authority } = request
  if (!source.splitAuthorityAtColon) return `${source.port}|${authority}`
  const colon = authority.indexOf(':')
  return `${source.port}|${colon < 0 ? authority : authority.slice(0, colon)}`
}

/** The scope of a CONNECT that found no route in its host's own: `PORT|* CONNECT` (what the Lua filter does in Envoy). */
export const connectScope = (scopes: ReadonlyMap<string, ScopePlan>, { port, fallback }: Scoped): ScopePlan | undefined => (fallback ? scopes.get(`${port}|* CONNECT`) : undefined)

/** The scope of a request. Keys are exact; with `fallback` an unknown one is tried in lower case, then as `PORT|*`. Undefined: no scope, so no route (NR). */
export function findScope(scopes: ReadonlyMap<string, ScopePlan>, source: Scoped, request: RequestHead): ScopePlan | undefined {
  const key = scopeKey(source, request)
  const exact = scopes.get(key)
  if (exact !== undefined || !source.fallback) return exact
  return scopes.get(key.toLowerCase()) ?? scopes.get(`${source.port}|*`)
}
