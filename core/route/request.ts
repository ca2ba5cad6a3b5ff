/**
 * A request's head, one shape for everyone: the HTTP/1.1 and HTTP/2 codecs make it from bytes, explain from words.
 * Everything that decides about a request (match, route, authz) reads this and nothing else.
 */
export interface RequestHead {
  readonly method: string
  /** Host or :authority as received, port included. */
  readonly authority: string
  /** Path with query, after normalization: `/orders?limit=3`. */
  readonly path: string
  readonly scheme: 'http' | 'https'
  /** First value of a header by its lower-case name; several lines of one name are joined with `,`. Undefined when absent. */
  header(name: string): string | undefined
  /** The client's address as trusted hops of x-forwarded-for tell it; absent: the peer's. RBAC's `remote_ip` reads it. */
  readonly remoteAddress?: string | undefined
  /** Claims of a token that was verified; absent: there is none. RBAC and routes read them as Envoy's metadata `envoy.filters.http.jwt_authn`, `payload`. */
  readonly claims?: { readonly [name: string]: unknown } | undefined
}

/** The path without its query, RFC 3986 §3.3. */
export function pathOnly(path: string): string {
  const query = path.indexOf('?')
  return query < 0 ? path : path.slice(0, query)
}

/** A head from words: what explain and tests make. Header names in any case. */
export function requestFrom(words: { method?: string; authority: string; path?: string; scheme?: 'http' | 'https'; headers?: Readonly<Record<string, string>> }): RequestHead {
  const headers = new Map<string, string>()
  for (const [name, value] of Object.entries(words.headers ?? {})) {
    const key = name.toLowerCase()
    const before = headers.get(key)
    // Blanks around a value are no part of it (RFC 9110 §5.5).
    const text = value.replace(/^[ \t]+|[ \t]+$/g, '')
    headers.set(key, before === undefined ? text : `${before},${text}`)
  }
  return {
    method: words.method ?? 'GET',
    authority: words.authority,
    path: words.path ?? '/',
    scheme: words.scheme ?? 'http',
    header: (name) => headers.get(name),
  }
}

/** The other end of a connection, as far as the connection itself proves it. */
export interface PeerInfo {
  readonly address: string
  readonly port: number
  /** Who opened the connection, where a balancer in between said in front of it who called (PROXY protocol); absent: the same. RBAC's `direct_remote_ip` reads it. */
  readonly direct?: { readonly address: string; readonly port: number }
  /** The workload's side of the connection. */
  readonly localAddress: string
  readonly localPort: number
  /** The workload's side is where the connection was going before it was captured, which is not where it arrived. */
  readonly captured?: boolean
  /** URI SANs of a verified client certificate: `spiffe://…`. Empty for plaintext and for TLS without a client certificate. */
  readonly uriSans: readonly string[]
  readonly dnsSans: readonly string[]
  readonly sni: string
  readonly tls: boolean
}
