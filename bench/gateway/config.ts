import type { BenchFiles, Json, Resources } from '../sidecar/config.ts'
import { cluster, logOf, rbacOf, router, TYPE, weightedRoutes } from '../sidecar/config.ts'

/** Hosts of the gateway, each with a certificate and a filter chain of its own; load asks for one in the middle. */
export const HOSTS: readonly string[] = Array.from({ length: 20 }, (_, nth) => `shop-${nth}.example`)
export const ASKED = 'shop-11.example'

/** HTTPS by SNI with TLS 1.3, HTTP/1.1 and HTTP/2; routing, RBAC, header mutation and access log as for the sidecar. `files` undefined: certificates come by their host's name, as Weft takes them. */
export const gatewayResources = (port: number, backend: number, log: string, files: Readonly<Record<string, BenchFiles>> | undefined): Resources => ({
  listeners: [
    {
      name: 'gateway',
      address: { socket_address: { address: '127.0.0.1', port_value: port } },
      listener_filters: [{ name: 'envoy.filters.listener.tls_inspector', typed_config: { '@type': `${TYPE}.filters.listener.tls_inspector.v3.TlsInspector` } }],
      filter_chains: HOSTS.map((host) => chainOf(host, log, files?.[host])),
    },
  ],
  clusters: [cluster('v1', backend), cluster('v2', backend)],
})

const chainOf = (host: string, log: string, files: BenchFiles | undefined): Json => ({
  name: host,
  filter_chain_match: { server_names: [host] },
  transport_socket: {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${TYPE}.transport_sockets.tls.v3.DownstreamTlsContext`,
      common_tls_context: {
        alpn_protocols: ['h2', 'http/1.1'],
        tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
        ...(files === undefined
          ? { tls_certificate_sds_secret_configs: [{ name: host, sds_config: { ads: {} } }] }
          : { tls_certificates: [{ certificate_chain: { filename: files.certificate }, private_key: { filename: files.key } }] }),
      },
    },
  },
  filters: [
    {
      name: 'envoy.filters.network.http_connection_manager',
      typed_config: {
        '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
        stat_prefix: 'gateway',
        codec_type: 'AUTO',
        use_remote_address: true,
        access_log: [logOf(log)],
        http_filters: [rbacOf({ any: true }), router],
        route_config: { name: host, virtual_hosts: [{ name: host, domains: [host, `${host}:*`], routes: weightedRoutes }] },
      },
    },
  ],
})
