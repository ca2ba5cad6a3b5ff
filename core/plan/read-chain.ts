import { type FilterChain, FilterChainMatchSchema, type FilterChainMatch, FilterChainSchema, type Filter } from '../wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { HttpConnectionManagerSchema } from '../wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { RBAC_EnforcementType, RBACSchema } from '../wire/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts'
import { SniClusterSchema } from '../wire/gen/envoy/extensions/filters/network/sni_cluster/v3/sni_cluster_pb.ts'
import { TcpProxySchema } from '../wire/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts'
import type { ChainMatch, FilterChainPlan, ServerTlsPlan } from './listener.ts'
import type { RbacPlan } from './rbac.ts'
import { at, type Reading, typeNameOf } from './read.ts'
import { readHttp } from './read-http.ts'
import { readCidr } from './read-match.ts'
import { readRbac } from './read-rbac.ts'
import { readTcp } from './read-tcp.ts'
import { readServerTls } from './read-tls.ts'
import { milliseconds } from './read-value.ts'

/** A filter chain: RBAC filters, then a connection manager or a TCP proxy. Undefined with a fault when the last is neither. */
export function readChain(reading: Reading, path: string, chain: FilterChain, version: string): FilterChainPlan | undefined {
  reading.only(path, FilterChainSchema, chain, ['filter_chain_match', 'filters', 'metadata', 'transport_socket', 'transport_socket_connect_timeout', 'name'])
  const match = readMatch(reading, at(path, 'filter_chain_match'), chain.filterChainMatch)
  const tls = withTimeout(readServerTls(reading, at(path, 'transport_socket'), chain.transportSocket), milliseconds(chain.transportSocketConnectTimeout, 0))
  const rbac: RbacPlan[] = []
  const bySni = chain.filters.some((one) => one.configType.case === 'typedConfig' && typeNameOf(one.configType.value) === SniClusterSchema.typeName)
  let serve: FilterChainPlan['serve'] | undefined
  for (const [index, filter] of chain.filters.entries()) {
    const where = at(path, 'filters', index)
    if (serve !== undefined) reading.invalid(where, 'stands behind a filter that ends the chain', filter.name)
    // Istio's own network filters exchange metadata and count.
    if (filter.name.startsWith('istio.')) continue
    serve = readFilter(reading, where, filter, rbac, version, bySni) ?? serve
  }
  if (serve === undefined) {
    if (reading.faults.length === 0) reading.invalid(at(path, 'filters'), 'ends with neither http_connection_manager nor tcp_proxy')
    return undefined
  }
  return { name: chain.name, match, tls, rbac, serve }
}

const withTimeout = (tls: ServerTlsPlan | undefined, handshakeTimeoutMs: number): ServerTlsPlan | undefined => (tls === undefined || handshakeTimeoutMs === 0 ? tls : { ...tls, handshakeTimeoutMs })

function readFilter(reading: Reading, path: string, filter: Filter, rbac: RbacPlan[], version: string, bySni: boolean): FilterChainPlan['serve'] | undefined {
  if (filter.configType.case !== 'typedConfig') {
    reading.unsupported(path, 'has no typed_config', filter.name)
    return undefined
  }
  const any = filter.configType.value
  const where = at(path, 'typed_config')
  switch (typeNameOf(any)) {
    case HttpConnectionManagerSchema.typeName: {
      const message = reading.unpack(where, any, HttpConnectionManagerSchema)
      return message && readHttp(reading, where, message, version)
    }
    case TcpProxySchema.typeName: {
      const message = reading.unpack(where, any, TcpProxySchema)
      return message && readTcp(reading, where, message, bySni)
    }
    case SniClusterSchema.typeName:
      return undefined
    case RBACSchema.typeName: {
      const message = reading.unpack(where, any, RBACSchema)
      if (message === undefined) return undefined
      reading.only(where, RBACSchema, message, ['rules', 'shadow_rules', 'stat_prefix', 'shadow_rules_stat_prefix', 'enforcement_type'])
      if (message.enforcementType !== RBAC_EnforcementType.ONE_TIME_ON_FIRST_BYTE) reading.unsupported(at(where, 'enforcement_type'), 'only ONE_TIME_ON_FIRST_BYTE is supported')
      if (message.shadowRules !== undefined) rbac.push(readRbac(reading, at(where, 'shadow_rules'), message.shadowRules, true))
      if (message.rules !== undefined) rbac.push(readRbac(reading, at(where, 'rules'), message.rules, false))
      return undefined
    }
    default:
      reading.unsupported(where, `filter ${filter.name} is not supported`, typeNameOf(any))
      return undefined
  }
}

const EVERYTHING: ChainMatch = { destinationPort: undefined, serverNames: [], transportProtocol: '', applicationProtocols: [] }

function readMatch(reading: Reading, path: string, match: FilterChainMatch | undefined): ChainMatch {
  if (match === undefined) return EVERYTHING
  reading.only(path, FilterChainMatchSchema, match, ['destination_port', 'prefix_ranges', 'server_names', 'transport_protocol', 'application_protocols'])
  const { transportProtocol } = match
  const known = transportProtocol === '' || transportProtocol === 'tls' || transportProtocol === 'raw_buffer' ? transportProtocol : undefined
  if (known === undefined) reading.unsupported(at(path, 'transport_protocol'), 'only tls and raw_buffer are supported', transportProtocol)
  for (const [index, name] of match.serverNames.entries()) {
    if (name.includes('*') && !/^\*\.[^*]+$/.test(name)) reading.invalid(at(path, 'server_names', index), 'a wildcard stands for whole labels at the beginning', name)
  }
  const destinations = match.prefixRanges.map((range, index) => readCidr(reading, at(path, 'prefix_ranges', index), range))
  return {
    destinationPort: match.destinationPort === 0 ? undefined : match.destinationPort,
    ...(destinations.length === 0 ? {} : { destinations }),
    serverNames: match.serverNames.map((name) => name.toLowerCase()),
    transportProtocol: known ?? '',
    applicationProtocols: match.applicationProtocols,
  }
}
