/**
 * What Weft itself answers, all of it: status, words as Envoy's where clients know them, response flag, and Envoy's `response_code_details`.
 * envoy docs: configuration/observability/access_log/usage (flags), configuration/http/http_conn_man/response_code_details.
 */
export interface Answer {
  readonly status: number
  readonly body: string
  readonly flag: string
  readonly details: string
  /** Field lines with their CRLFs. */
  readonly fields: string
  /** For gRPC clients, where it is not what the HTTP status becomes. */
  readonly grpcStatus?: number
}

const answer = (status: number, body: string, flag: string, details: string, fields = ''): Answer => ({ status, body, flag, details, fields })

const disconnected = (reason: string): string => `upstream connect error or disconnect/reset before headers. reset reason: ${reason}`

export const answers = {
  noRoute: answer(404, '', 'NR', 'route_not_found'),
  noCluster: (status: number): Answer => answer(status, '', 'NC', 'cluster_not_found'),
  noHealthyUpstream: answer(503, 'no healthy upstream', 'UH', 'no_healthy_upstream'),
  overflow: answer(503, disconnected('overflow'), 'UO', 'upstream_reset_before_response_started{overflow}', 'x-envoy-overloaded: true\r\n'),
  /** The proxy itself has more than it may; `bound` is the one that is met. */
  overloaded: (bound: 'requests' | 'memory'): Answer => answer(503, `overloaded: ${bound === 'requests' ? 'too many requests are under way' : 'memory is short'}`, 'OM', `overload_manager{${bound}}`, 'x-envoy-overloaded: true\r\n'),
  connectionTermination: answer(503, disconnected('connection termination'), 'UC', 'upstream_reset_before_response_started{connection_termination}'),
  protocolError: answer(502, disconnected('protocol error'), 'UPE', 'upstream_reset_before_response_started{protocol_error}'),
  remoteReset: answer(503, disconnected('remote reset'), 'UR', 'upstream_reset_before_response_started{remote_reset}'),
  refusedStream: answer(503, disconnected('remote refused stream reset'), 'UR', 'upstream_reset_before_response_started{remote_refused_stream_reset}'),
  connectError: answer(503, disconnected('remote error with CONNECT request'), 'UR', 'upstream_reset_before_response_started{remote_error_with_CONNECT_request}'),
  upstreamTimeout: answer(504, 'upstream request timeout', 'UT', 'response_timeout'),
  perTryTimeout: answer(504, 'upstream request timeout', 'UT', 'upstream_per_try_timeout'),
  streamIdle: answer(504, 'stream timeout', 'SI', 'stream_idle_timeout'),
  requestTimeout: answer(408, 'stream timeout', 'SI', 'stream_idle_timeout'),
  faultAbort: (status: number): Answer => answer(status, 'fault filter abort', 'FI', 'fault_filter_abort'),
  /** A gRPC status in the head alone (gRPC over HTTP/2, Trailers-Only). */
  faultGrpc: (code: number): Answer => answer(200, '', 'FI', 'fault_filter_abort', `content-type: application/grpc\r\ngrpc-status: ${code}\r\ngrpc-message: fault filter abort\r\n`),
  localRateLimited: (status: number, fields: string, asResourceExhausted: boolean): Answer => ({ ...answer(status, 'local_rate_limited', 'RL', 'local_rate_limited', fields), ...(asResourceExhausted && { grpcStatus: 8 }) }),
  rateLimited: (status: number, body: string, fields: string, asResourceExhausted: boolean): Answer => ({ ...answer(status, body, 'RL', 'request_rate_limited', fields), ...(asResourceExhausted && { grpcStatus: 8 }) }),
  rateLimiterFailed: (status: number): Answer => answer(status, '', 'RLSE', 'rate_limiter_error'),
  /** `policy` is its name, or `none` when no ALLOW policy matched. */
  denied: (details: string): Answer => answer(403, 'RBAC: access denied', '', details),
  /** A token that is missing or bad; `fields` hold the challenge. */
  tokenRefused: (status: number, problem: string, fields: string, bare: boolean): Answer => answer(status, bare ? '' : problem, '', `jwt_authn_access_denied{${problem.replaceAll(' ', '_')}}`, fields),
  authorizerDenied: (status: number, body: string, fields: string): Answer => answer(status, body, 'UAEX', 'ext_authz_denied', fields),
  authorizerFailed: (status: number): Answer => answer(status, '', 'UAEX', 'ext_authz_error'),
  bodyTooLarge: answer(413, 'Payload Too Large', '', 'request_payload_too_large'),
  /** The reason is for the log: a client has no business with it. */
  connectFailure: (why: string): Answer => answer(503, disconnected('remote connection failure'), 'UF', `upstream_reset_before_response_started{remote_connection_failure|${why.replaceAll(' ', '_')}}`),
  connectTimeout: answer(503, disconnected('connection timeout'), 'UF', 'upstream_reset_before_response_started{connection_timeout}'),
  redirect: (status: number, location: string, details: string): Answer => answer(status, '', '', details, `location: ${location}\r\n`),
  direct: (status: number, body: string): Answer => answer(status, body, '', 'direct_response'),
  preflight: (fields: string): Answer => answer(200, '', '', 'cors_preflight', fields),
  badBase64: answer(400, 'Bad gRPC-web request, invalid base64 data.', '', 'grpc_base_64_decode_failed'),
  badPath: answer(400, '', '', 'path_normalization_failed'),
  upgradeRefused: answer(403, '', '', 'upgrade_failed'),
  /** What the codec refuses has Envoy's codec's words; what is refused above it has none. */
  badHead: (status: number, details: string): Answer => answer(status, details === 'missing_host_header' || details === 'fragment_in_url_path' ? '' : reasonOf(status), status === 408 ? '' : 'DPE', details),
} as const

const REASONS: Readonly<Record<number, string>> = {
  100: 'Continue', 101: 'Switching Protocols', 200: 'OK', 201: 'Created', 202: 'Accepted', 204: 'No Content', 206: 'Partial Content', 301: 'Moved Permanently', 302: 'Found', 303: 'See Other',
  304: 'Not Modified', 307: 'Temporary Redirect', 308: 'Permanent Redirect', 400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found', 405: 'Method Not Allowed', 406: 'Not Acceptable',
  408: 'Request Timeout', 409: 'Conflict', 410: 'Gone', 411: 'Length Required', 412: 'Precondition Failed', 413: 'Payload Too Large', 414: 'URI Too Long', 415: 'Unsupported Media Type',
  417: 'Expectation Failed', 418: "I'm a teapot", 421: 'Misdirected Request', 422: 'Unprocessable Entity', 426: 'Upgrade Required', 428: 'Precondition Required', 429: 'Too Many Requests',
  431: 'Request Header Fields Too Large', 500: 'Internal Server Error', 501: 'Not Implemented', 502: 'Bad Gateway', 503: 'Service Unavailable', 504: 'Gateway Timeout', 505: 'HTTP Version Not Supported',
}

/** The reason phrase of a status (RFC 9110 §15); `Unknown` for others, as Envoy says. */
export const reasonOf = (status: number): string => REASONS[status] ?? 'Unknown'
