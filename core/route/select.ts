import type { Route, RouteTable, VirtualHost } from '../plan/route.ts'
import type { RequestHead } from './request.ts'

/** Told of every route tried; absent while serving, explain records its trail here. */
export type Note = (route: Route, matched: boolean) => void

/**
 * The virtual host of an authority: exact name, longest `*.suffix`, longest `prefix.*`, then `*`; upper and lower case are one.
 * A wildcard stands for at least one character (envoy.config.route.v3.VirtualHost.domains). Undefined: NR.
 */
export function findVirtualHost(table: RouteTable, authority: string): VirtualHost | undefined {
  if (table.exact.size === 0 && table.suffixes.length === 0 && table.prefixes.length === 0) return table.any
  const host = (table.ignorePort ? withoutPort(authority) : authority).toLowerCase()
  const exact = table.exact.get(host)
  if (exact !== undefined) return exact
  for (const one of table.suffixes) if (host.length > one.suffix.length && host.endsWith(one.suffix)) return one.host
  for (const one of table.prefixes) if (host.length > one.prefix.length && host.startsWith(one.prefix)) return one.host
  return table.any
}

/** The first route that matches wins: a virtual host's routes are an ordered list. Undefined when none does (NR). */
export function selectRoute(host: VirtualHost, request: RequestHead, note?: Note): Route | undefined {
  const { routes } = host
  for (let at = 0; at < routes.length; at++) {
    const route = routes[at]
    if (route === undefined) break
    const matched = route.matches(request)
    if (note !== undefined) note(route, matched)
    if (matched) return route
  }
  return undefined
}

/** `order-service:8080` → `order-service`, `[::1]:80` → `[::1]`; a bare IPv6 address has no port. */
export function withoutPort(authority: string): string {
  const colon = authority.lastIndexOf(':')
  if (colon < 0) return authority
  if (authority.charCodeAt(0) === 91 /* [ */) return authority.charCodeAt(colon - 1) === 93 /* ] */ ? authority.slice(0, colon) : authority
  if (authority.indexOf(':') !== colon) return authority
  for (let at = colon + 1; at < authority.length; at++) {
    const code = authority.charCodeAt(at)
    if (code < 48 || code > 57) return authority
  }
  return authority.slice(0, colon)
}
