/** What a client of TLS offers by ALPN (RFC 7301), in the order of its choice, made of what the plan says. */

/** What is offered for a connection to share: what the plan says where the peer may choose, else no HTTP/1.1. Istio's names stay, for filter chains are chosen by them. */
export const http2Alpn = (alpn: readonly string[], mayChoose: boolean): readonly string[] => (mayChoose ? alpn : [...saidToMesh('istio-h2', alpn), ...alpn.filter((protocol) => protocol !== 'h2' && !protocol.includes('http/1.')), 'h2'])

/** What is offered for a connection of its own: not h2, lest the server choose it. */
export const http1Alpn = (alpn: readonly string[]): readonly string[] => [...saidToMesh('istio-http/1.1', alpn), ...alpn.filter((protocol) => protocol !== 'h2' && protocol !== 'istio-h2')]

/** In mTLS of the mesh, that HTTP is inside: the callee may know it no other way. */
const saidToMesh = (name: string, alpn: readonly string[]): readonly string[] => (alpn.includes('istio') && !alpn.includes(name) ? [name] : [])
