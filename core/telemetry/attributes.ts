import { compileExpression, Unsupported } from '../match/expression.ts'
import { parseExpression } from '../match/expression-syntax.ts'

/**
 * Envoy's attributes that Weft's own proxies have of a request, too
 * (envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes).
 */
const attributeNames = [
  'request.path', 'request.url_path', 'request.host', 'request.scheme', 'request.method', 'request.headers', 'request.referer', 'request.useragent', 'request.time', 'request.id', 'request.protocol',
  'request.query', 'request.duration', 'request.size',
  'response.code', 'response.code_details', 'response.flags', 'response.grpc_status', 'response.headers', 'response.size',
  'source.address', 'source.port', 'destination.address', 'destination.port',
  'connection.mtls', 'connection.requested_server_name', 'connection.tls_version', 'connection.uri_san_peer_certificate', 'connection.dns_san_peer_certificate',
  'upstream.address', 'upstream.port', 'upstream.transport_failure_reason', 'upstream.request_attempt_count',
  'xds.cluster_name', 'xds.route_name',
] as const
export type AttributeName = (typeof attributeNames)[number]

const known: ReadonlySet<string> = new Set(attributeNames)
export const isAttribute = (path: string): path is AttributeName => known.has(path)

/** Why Weft's own proxies cannot work an expression out, in few words; undefined: they can. */
export function expressionLimit(text: string): string | undefined {
  const read = parseExpression(text)
  if (typeof read === 'string') return read
  try {
    compileExpression(read, (path) => (isAttribute(path) ? () => undefined : undefined))
    return undefined
  } catch (error) {
    if (error instanceof Unsupported) return error.message
    throw error
  }
}
