import type { Any } from '@bufbuild/protobuf/wkt'
import { TrafficDirection } from '../wire/gen/envoy/config/core/v3/base_pb.ts'
import { AdditionalAddressSchema, type Listener, ListenerSchema } from '../wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { ListenerFilterSchema } from '../wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { HttpInspectorSchema } from '../wire/gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.ts'
import { OriginalDstSchema } from '../wire/gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.ts'
import { ProxyProtocolSchema } from '../wire/gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.ts'
import { ProxyProtocolConfig_Version as ProxyVersion } from '../wire/gen/envoy/config/core/v3/proxy_protocol_pb.ts'
import { TlsInspectorSchema } from '../wire/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts'
import type { FilterChainPlan, ListenerPlan } from './listener.ts'
import { at, type Read, type Reading, readResource, typeNameOf } from './read.ts'
import { readChain } from './read-chain.ts'
import { milliseconds, readSocketAddress } from './read-value.ts'
import type { Address } from '../wire/gen/envoy/config/core/v3/address_pb.ts'
import type { SocketAddress } from '../workload/workload.ts'

/** Listener → ListenerPlan. */
export function readListener(bytes: Uint8Array, version: string): Read<ListenerPlan> {
  return readResource(ListenerSchema, bytes, (reading, message) => readOne(reading, message, version))
}

/** The access log of a listener tells of connections that no chain took; it is left out. */
const FIELDS = [
  'name', 'address', 'additional_addresses', 'stat_prefix', 'filter_chains', 'use_original_dst', 'default_filter_chain', 'per_connection_buffer_limit_bytes', 'metadata', 'deprecated_v1', 'drain_type',
  'listener_filters', 'listener_filters_timeout', 'continue_on_listener_filters_timeout', 'traffic_direction', 'connection_balance_config', 'enable_reuse_port', 'reuse_port',
  'tcp_backlog_size', 'bind_to_port', 'access_log', 'max_connections_to_accept_per_socket_event', 'ignore_global_conn_limit', 'bypass_overload_manager',
]

/** Envoy's own bound of listener filters. */
const INSPECTION_MS = 15_000

function readOne(reading: Reading, message: Listener, version: string): ListenerPlan {
  reading.only('', ListenerSchema, message, FIELDS)
  if (message.name === '') reading.invalid('name', 'is missing')
  const address = readSocketAddress(reading, 'address', message.address)
  const bound = (message.bindToPort ?? true) && (message.deprecatedV1?.bindToPort ?? true)
  const further = readFurther(reading, message)
  const inspectors = readListenerFilters(reading, message)
  const chains = message.filterChains.flatMap((chain, index) => readChain(reading, at('', 'filter_chains', index), chain, version) ?? [])
  checkDistinct(reading, chains)
  if (chains.length === 0 && message.defaultFilterChain === undefined && reading.faults.length === 0) reading.invalid('filter_chains', 'is empty')
  return {
    name: message.name,
    version,
    direction: directionOf(message.trafficDirection),
    bind: bound ? address : undefined,
    ...(address === undefined ? {} : { address }),
    ...(further.length === 0 ? {} : { further }),
    inspectsTls: inspectors.tls,
    inspectsHttp: inspectors.http,
    inspection: { timeoutMs: milliseconds(message.listenerFiltersTimeout, INSPECTION_MS), continues: message.continueOnListenerFiltersTimeout },
    usesOriginalDestination: inspectors.originalDestination || (message.useOriginalDst ?? false),
    ...(message.useOriginalDst === true ? { handsOff: true } : {}),
    ...(inspectors.proxyProtocol === undefined ? {} : { proxyProtocol: inspectors.proxyProtocol }),
    chains,
    defaultChain: message.defaultFilterChain && readChain(reading, 'default_filter_chain', message.defaultFilterChain, version),
  }
}

/** Addresses beside the first. Any address of IPv6 stands for any of IPv4, too, where it says so. */
function readFurther(reading: Reading, message: Listener): SocketAddress[] {
  const said = message.additionalAddresses.flatMap((one, index): [Address | undefined, SocketAddress | undefined][] => {
    const where = at('', 'additional_addresses', index)
    reading.only(where, AdditionalAddressSchema, one, ['address'])
    return [[one.address, readSocketAddress(reading, at(where, 'address'), one.address)]]
  })
  const four = [message.address, ...said.map(([address]) => address)].flatMap((address): SocketAddress[] => {
    const socket = address?.address.case === 'socketAddress' ? address.address.value : undefined
    return socket?.ipv4Compat === true && socket.address === '::' && socket.portSpecifier.case === 'portValue' ? [{ address: '0.0.0.0', port: socket.portSpecifier.value }] : []
  })
  return [...said.flatMap(([, read]) => read ?? []), ...four]
}

function directionOf(direction: TrafficDirection): ListenerPlan['direction'] {
  if (direction === TrafficDirection.INBOUND) return 'inbound'
  return direction === TrafficDirection.OUTBOUND ? 'outbound' : 'gateway'
}

function readListenerFilters(reading: Reading, message: Listener): { tls: boolean; http: boolean; originalDestination: boolean; proxyProtocol: ListenerPlan['proxyProtocol'] } {
  let tls = false
  let http = false
  let originalDestination = false
  let proxyProtocol: ListenerPlan['proxyProtocol']
  for (const [index, filter] of message.listenerFilters.entries()) {
    const where = at('', 'listener_filters', index)
    reading.only(where, ListenerFilterSchema, filter, ['name', 'typed_config'])
    const typeName = filter.configType.case === 'typedConfig' ? typeNameOf(filter.configType.value) : ''
    if (typeName === TlsInspectorSchema.typeName || filter.name === 'envoy.filters.listener.tls_inspector') tls = true
    else if (typeName === HttpInspectorSchema.typeName || filter.name === 'envoy.filters.listener.http_inspector') http = true
    else if (typeName === OriginalDstSchema.typeName || filter.name === 'envoy.filters.listener.original_dst') originalDestination = true
    else if (typeName === ProxyProtocolSchema.typeName && filter.configType.case === 'typedConfig') proxyProtocol = readProxyProtocol(reading, at(where, 'typed_config'), filter.configType.value)
    else reading.unsupported(where, `filter ${filter.name} is not supported`, typeName)
  }
  return { tls, http, originalDestination, proxyProtocol }
}

function readProxyProtocol(reading: Reading, path: string, any: Any): ListenerPlan['proxyProtocol'] {
  const message = reading.unpack(path, any, ProxyProtocolSchema)
  if (message === undefined) return undefined
  reading.only(path, ProxyProtocolSchema, message, ['allow_requests_without_proxy_protocol', 'disallowed_versions', 'stat_prefix'])
  const all = [[1, ProxyVersion.V1], [2, ProxyVersion.V2]] as const
  const versions = all.flatMap(([version, wire]) => (message.disallowedVersions.includes(wire) ? [] : [version]))
  if (versions.length === 0) reading.invalid(at(path, 'disallowed_versions'), 'leaves no version')
  return { versions, optional: message.allowRequestsWithoutProxyProtocol }
}

/** Envoy refuses two chains with one match, which would leave the choice to chance. */
function checkDistinct(reading: Reading, chains: readonly FilterChainPlan[]): void {
  const seen = new Set<string>()
  for (const [index, chain] of chains.entries()) {
    const { match } = chain
    for (const name of match.serverNames.length === 0 ? [''] : match.serverNames) {
      for (const protocol of match.applicationProtocols.length === 0 ? [''] : match.applicationProtocols) {
        const key = JSON.stringify([match.destinationPort ?? 0, (match.destinations ?? []).map((one) => one.words), name, match.transportProtocol, protocol])
        if (seen.has(key)) reading.invalid(at(at('', 'filter_chains', index), 'filter_chain_match'), 'is that of another chain', chain.name)
        seen.add(key)
      }
    }
  }
}
