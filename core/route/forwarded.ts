/**
 * The client's address as the proxies before us tell it (envoy docs: http_conn_man/headers#x-forwarded-for). `hops` of them are trusted; where this proxy itself tells who called it
 * (`usesPeer`) the nearest of them is the caller. Undefined: the caller of the connection is the client.
 */
export function clientAddress(forwardedFor: string | undefined, hops: number, usesPeer: boolean): string | undefined {
  if (usesPeer && hops === 0) return undefined
  let from = forwardedFor?.length ?? 0
  if (forwardedFor === undefined || from === 0) return undefined
  const skipped = usesPeer ? hops - 1 : hops
  for (let nth = 0; ; nth++) {
    const comma = forwardedFor.lastIndexOf(',', from - 1)
    const word = forwardedFor.slice(comma + 1, from).trim()
    if (nth === skipped) return ADDRESS.test(word) ? word : undefined
    if (comma <= 0) return undefined
    from = comma
  }
}

/** Near enough: what is no address never matches a range. */
const ADDRESS = /^[0-9A-Fa-f.:]+$/

/** The scheme that a client used, where those who tell it may be believed: else a balancer that ends TLS would be redirected to https for ever. */
export function clientScheme(forwardedProto: string | undefined, hops: number, usesPeer: boolean): 'http' | 'https' | undefined {
  if (forwardedProto === undefined || (usesPeer && hops === 0)) return undefined
  const scheme = forwardedProto.toLowerCase()
  return scheme === 'http' || scheme === 'https' ? scheme : undefined
}
