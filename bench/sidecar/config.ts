import type { JsonObject } from '@bufbuild/protobuf'

/** Static Envoy resources, as JSON: a stock Envoy loads them, and a Weft sidecar reads the same ones through core/plan. */

export interface BenchFiles {
  /** PEM files of one side; undefined: plaintext. */
  readonly certificate: string
  readonly key: string
  readonly roots: string
}

export type Json = JsonObject

export interface Resources {
  readonly listeners: readonly Json[]
  readonly clusters: readonly Json[]
}

export const TYPE = 'type.googleapis.com/envoy.extensions'

export const logOf = (path: string): Json => ({
  name: 'envoy.access_loggers.file',
  typed_config: {
    '@type': `${TYPE}.access_loggers.file.v3.FileAccessLog`,
    path,
    log_format: {
      text_format_source: {
        inline_string:
          '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% %DOWNSTREAM_REMOTE_ADDRESS% %ROUTE_NAME%\n',
      },
    },
  },
})

export const rbacOf = (principal: Json, method = 'GET'): Json => ({
  name: 'envoy.filters.http.rbac',
  typed_config: {
    '@type': `${TYPE}.filters.http.rbac.v3.RBAC`,
    rules: {
      action: 'ALLOW',
      policies: { reads: { permissions: [{ and_rules: { rules: [{ url_path: { path: { prefix: '/b' } } }, { header: { name: ':method', string_match: { exact: method } } }] } }], principals: [principal] } },
    },
  },
})

export const router: Json = { name: 'envoy.filters.http.router', typed_config: { '@type': `${TYPE}.filters.http.router.v3.Router` } }

export const weightedRoutes: Json[] = [
  { name: 'admin', match: { prefix: '/admin' }, direct_response: { status: 403 } },
  { name: 'exact', match: { path: '/exact' }, route: { cluster: 'v1' } },
  {
    name: 'b',
    match: { prefix: '/b' },
    request_headers_to_add: [{ header: { key: 'x-weft-route', value: 'b' } }],
    route: { timeout: '15s', weighted_clusters: { clusters: [{ name: 'v1', weight: 90 }, { name: 'v2', weight: 10 }] } },
  },
  { name: 'rest', match: { prefix: '/' }, route: { cluster: 'v1' } },
]

const listener = (name: string, port: number, manager: Json, chain: Json = {}): Json => ({
  name,
  address: { socket_address: { address: '127.0.0.1', port_value: port } },
  traffic_direction: name === 'inbound' ? 'INBOUND' : 'OUTBOUND',
  filter_chains: [{ ...chain, filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: { '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`, ...manager } }] }],
})

export const cluster = (name: string, port: number, more: Json = {}): Json => ({
  name,
  type: 'STATIC',
  connect_timeout: '5s',
  load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }] }] },
  ...more,
})

const certificates = (files: BenchFiles | undefined): Json =>
  files === undefined
    ? { tls_certificate_sds_secret_configs: [{ name: 'default', sds_config: { ads: {} } }] }
    : { tls_certificates: [{ certificate_chain: { filename: files.certificate }, private_key: { filename: files.key } }] }

const roots = (files: BenchFiles | undefined, sans: Json): Json =>
  files === undefined
    ? { combined_validation_context: { default_validation_context: sans, validation_context_sds_secret_config: { name: 'ROOTCA', sds_config: { ads: {} } } } }
    : { validation_context: { trusted_ca: { filename: files.roots }, ...sans } }

const spiffe = (account: string): string => `spiffe://cluster.local/ns/default/sa/${account}`

/** One sidecar between client and application, plaintext: routing by weights, RBAC, header mutation, access log. */
export const plainResources = (port: number, backend: number, log: string): Resources => ({
  listeners: [
    listener('outbound', port, {
      stat_prefix: 'plain',
      codec_type: 'HTTP1',
      access_log: [logOf(log)],
      http_filters: [rbacOf({ any: true }), router],
      route_config: { name: 'r', virtual_hosts: [{ name: 'other', domains: ['other.example'], routes: [{ match: { prefix: '/' }, direct_response: { status: 404 } }] }, { name: 'all', domains: ['*'], routes: weightedRoutes }] },
    }),
  ],
  clusters: [cluster('v1', backend), cluster('v2', backend)],
})

const http2Options: Json = { typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': `${TYPE}.upstreams.http.v3.HttpProtocolOptions`, explicit_http_config: { http2_protocol_options: {} } } } }

/** One sidecar between a gRPC client and its server, HTTP/2 in plaintext on either side; all else as in `plainResources`. */
export const grpcResources = (port: number, backend: number, log: string): Resources => ({
  listeners: [
    listener('outbound', port, {
      stat_prefix: 'grpc',
      codec_type: 'AUTO',
      access_log: [logOf(log)],
      http_filters: [rbacOf({ any: true }, 'POST'), router],
      route_config: { name: 'r', virtual_hosts: [{ name: 'all', domains: ['*'], routes: weightedRoutes }] },
    }),
  ],
  clusters: [cluster('v1', backend, http2Options), cluster('v2', backend, http2Options)],
})

/** One sidecar that passes bytes on, with a line in the access log for each connection. */
export const tcpResources = (port: number, backend: number, log: string): Resources => ({
  listeners: [
    {
      name: 'outbound',
      address: { socket_address: { address: '127.0.0.1', port_value: port } },
      traffic_direction: 'OUTBOUND',
      filter_chains: [{ filters: [{ name: 'envoy.filters.network.tcp_proxy', typed_config: { '@type': `${TYPE}.filters.network.tcp_proxy.v3.TcpProxy`, stat_prefix: 'tcp', cluster: 'v1', access_log: [logOf(log)] } }] }],
    },
  ],
  clusters: [cluster('v1', backend)],
})

/** The caller's sidecar of a pair. `files` undefined: certificates come by name, as Weft takes them. `http2`: requests share connections between the two. */
export function callerResources(port: number, called: number, log: string, files: BenchFiles | undefined, http2: boolean): Resources {
  const tls = {
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': `${TYPE}.transport_sockets.tls.v3.UpstreamTlsContext`,
        sni: 'outbound_.80_._.server.default.svc.cluster.local',
        common_tls_context: { alpn_protocols: [http2 ? 'h2' : 'http/1.1'], ...certificates(files), ...roots(files, { match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: spiffe('server') } }] }) },
      },
    },
  }
  const protocol = http2 ? http2Options : {}
  const plain = plainResources(port, called, log)
  return { listeners: plain.listeners, clusters: [cluster('v1', called, { ...tls, ...protocol }), cluster('v2', called, { ...tls, ...protocol })] }
}

/** The called sidecar of a pair: mutual TLS in, RBAC on the caller's identity, plaintext to the application. */
export const calledResources = (port: number, backend: number, log: string, files: BenchFiles | undefined, http2: boolean): Resources => ({
  listeners: [
    listener(
      'inbound',
      port,
      {
        stat_prefix: 'inbound',
        codec_type: 'AUTO',
        forward_client_cert_details: 'APPEND_FORWARD',
        set_current_client_cert_details: { subject: true, dns: true, uri: true },
        access_log: [logOf(log)],
        http_filters: [rbacOf({ authenticated: { principal_name: { exact: spiffe('client') } } }), router],
        route_config: { name: 'r', virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ name: 'in', match: { prefix: '/' }, route: { cluster: 'app', timeout: '0s' } }] }] },
      },
      {
        transport_socket: {
          name: 'envoy.transport_sockets.tls',
          typed_config: {
            '@type': `${TYPE}.transport_sockets.tls.v3.DownstreamTlsContext`,
            require_client_certificate: true,
            common_tls_context: { alpn_protocols: [http2 ? 'h2' : 'http/1.1'], ...certificates(files), ...roots(files, {}) },
          },
        },
      },
    ),
  ],
  clusters: [cluster('app', backend)],
})
