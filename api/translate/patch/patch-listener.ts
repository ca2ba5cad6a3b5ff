import { fromBinary } from '@bufbuild/protobuf'
import { packAny, unpackAny } from '#core/wire/any.ts'
import type { Filter, FilterChain } from '#core/wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { FilterChainSchema, FilterSchema, ListenerFilterSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import type { Listener } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { TrafficDirection } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import type { HttpFilter } from '#core/wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { HttpConnectionManagerSchema, HttpFilterSchema } from '#core/wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { patchList } from './list.ts'
import { mergeMessage, parseMessage } from './merge.ts'
import type { ListMerge } from './merge.ts'
import { inContext } from './patches.ts'
import type { PatchedProxy, ScopedPatch } from './patches.ts'
import { patchRoutes } from './patch-route.ts'
import { EXTENSION_PREFIX } from './extension.ts'

const HCM = 'envoy.filters.network.http_connection_manager'

export type Context = 'SIDECAR_INBOUND' | 'SIDECAR_OUTBOUND' | 'GATEWAY'

export const listsOf = (patch: ScopedPatch): ListMerge => (patch.operation === 'MERGE_AND_REPLACE_LIST' ? 'replace' : 'append')

const contextOf = (listener: Listener, proxy: PatchedProxy): Context => (proxy.type === 'router' ? 'GATEWAY' : listener.trafficDirection === TrafficDirection.INBOUND ? 'SIDECAR_INBOUND' : 'SIDECAR_OUTBOUND')

/**
 * A listener by one patch; undefined: removed. The same listener when it is not meant.
 * @throws when the value is no such message, or the operation cannot be done
 */
export function patchListener(listener: Listener, patch: ScopedPatch, proxy: PatchedProxy): Listener | undefined {
  const context = contextOf(listener, proxy)
  if (!inContext(patch, context) || !isMeant(listener, patch, context)) return listener
  const { applyTo, operation, value } = patch
  switch (applyTo) {
    case 'LISTENER':
      if (operation === 'REMOVE') return undefined
      return operation === 'MERGE' || operation === 'MERGE_AND_REPLACE_LIST' ? mergeMessage(ListenerSchema, listener, value, listsOf(patch)) : operation === 'REPLACE' ? parseMessage(ListenerSchema, value) : listener
    case 'LISTENER_FILTER': {
      const name = patch.match.listener?.listenerFilter ?? ''
      const listenerFilters = patchList(listener.listenerFilters, operation, {
        // Unlike other filters, none is meant where none is named.
        matches: (one) => name !== '' && one.name === name,
        isBound: name !== '',
        merge: (one) => mergeMessage(ListenerFilterSchema, one, value, listsOf(patch)),
        make: () => parseMessage(ListenerFilterSchema, value),
      })
      return { ...listener, listenerFilters }
    }
    case 'FILTER_CHAIN': {
      const isBound = patch.match.listener?.filterChain !== undefined
      const filterChains = patchList(listener.filterChains, operation, {
        matches: (one) => meansChain(one, patch, context),
        isBound,
        merge: (one) => mergeMessage(FilterChainSchema, one, value, listsOf(patch)),
        make: () => parseMessage(FilterChainSchema, value),
      })
      return { ...listener, filterChains }
    }
    case 'NETWORK_FILTER':
      return withChains(listener, patch, context, (chain) => ({ ...chain, filters: patchNetworkFilters(chain.filters, patch) }))
    case 'HTTP_FILTER':
      return withChains(listener, patch, context, (chain) => ({ ...chain, filters: chain.filters.map((one) => patchManager(one, (manager) => ({ ...manager, httpFilters: patchHttpFilters(manager.httpFilters, patch) }))) }))
    case 'ROUTE_CONFIGURATION':
    case 'VIRTUAL_HOST':
    case 'HTTP_ROUTE':
      return withChains(listener, patch, context, (chain) => ({
        ...chain,
        filters: chain.filters.map((one) =>
          patchManager(one, (manager) => {
            const routes = manager.routeSpecifier
            return routes.case === 'routeConfig' ? { ...manager, routeSpecifier: { case: 'routeConfig', value: patchRoutes(routes.value, patch, context, portOf(chain)) } } : manager
          }),
        ),
      }))
    default:
      return listener
  }
}

function withChains(listener: Listener, patch: ScopedPatch, context: Context, change: (chain: FilterChain) => FilterChain): Listener {
  return { ...listener, filterChains: listener.filterChains.map((one) => (meansChain(one, patch, context) ? change(one) : one)) }
}

/** The names under which Istio's users know listeners that take what is captured; where a proxy is spoken to, each of its listeners is one of them. */
const CAPTURING: Readonly<Record<string, Context>> = { virtualInbound: 'SIDECAR_INBOUND', virtualOutbound: 'SIDECAR_OUTBOUND' }

function isMeant(listener: Listener, patch: ScopedPatch, context: Context): boolean {
  const match = patch.match.listener
  if (match === undefined) return true
  if (match.name && match.name !== listener.name && (CAPTURING[match.name] !== context || listener.name === 'virtualInbound' || listener.name === 'virtualOutbound')) return false
  if (!match.portNumber) return true
  // Inbound, a port is the workload's: that of a chain.
  if (context === 'SIDECAR_INBOUND') return listener.filterChains.some((one) => portOf(one) === match.portNumber)
  const address = listener.address?.address
  return address?.case === 'socketAddress' && address.value.portSpecifier.case === 'portValue' ? address.value.portSpecifier.value === match.portNumber || listener.name.endsWith(`_${match.portNumber}`) : false
}

/** The workload's port that an inbound chain is for, as its match or its name has it: `0.0.0.0_8080_plaintext`. */
const portOf = (chain: FilterChain): number | undefined => chain.filterChainMatch?.destinationPort ?? (/_(\d+)(?:_|$)/.exec(chain.name)?.[1] === undefined ? undefined : Number(/_(\d+)(?:_|$)/.exec(chain.name)?.[1]))

function meansChain(chain: FilterChain, patch: ScopedPatch, context: Context): boolean {
  const listener = patch.match.listener
  if (context === 'SIDECAR_INBOUND' && listener?.portNumber && portOf(chain) !== listener.portNumber) return false
  const match = listener?.filterChain
  if (match === undefined) return true
  const of = chain.filterChainMatch
  if (match.name && match.name !== chain.name) return false
  if (match.sni && of?.serverNames.includes(match.sni) !== true) return false
  if (match.transportProtocol && of?.transportProtocol !== match.transportProtocol) return false
  if (match.destinationPort && of?.destinationPort !== match.destinationPort) return false
  if (match.applicationProtocols && !match.applicationProtocols.split(',').every((one) => of?.applicationProtocols.includes(one.trim()) === true)) return false
  // Only chains that have the filter are meant.
  return !match.filter?.name || chain.filters.some((one) => namesFilter(one.name, match.filter?.name ?? ''))
}

/** Envoy's filters have an old name, which operators still use. */
const namesFilter = (name: string, wanted: string): boolean => name === wanted || (name.startsWith('envoy.filters.network.') && wanted === name.replace('envoy.filters.network.', 'envoy.')) || (name.startsWith('envoy.filters.http.') && wanted === name.replace('envoy.filters.http.', 'envoy.'))

function patchNetworkFilters(filters: readonly Filter[], patch: ScopedPatch): Filter[] {
  const name = patch.match.listener?.filterChain?.filter?.name ?? ''
  return patchList(filters, patch.operation, {
    matches: (one) => name === '' || namesFilter(one.name, name),
    isBound: name !== '',
    merge: (one) => mergeMessage(FilterSchema, one, patch.value, listsOf(patch)),
    make: () => parseMessage(FilterSchema, patch.value),
    // The last filter ends the chain.
    addAt: (list) => Math.max(0, list.length - 1),
  })
}

function patchHttpFilters(filters: readonly HttpFilter[], patch: ScopedPatch): HttpFilter[] {
  const name = patch.match.listener?.filterChain?.filter?.subFilter?.name ?? ''
  return patchList(filters, patch.operation, {
    matches: (one) => name === '' || namesFilter(one.name, name),
    isBound: name !== '',
    merge: (one) => mergeMessage(HttpFilterSchema, one, patch.value, listsOf(patch)),
    make: () => parseMessage(HttpFilterSchema, patch.value),
    addAt: (list) => classPosition(list, patch.filterClass),
  })
}

/** Where a filter of a class, or an extension of a phase, stands: after what authenticates, authorizes or counts; without a class before the router, which ends the chain. */
function classPosition(filters: readonly HttpFilter[], filterClass: string): number {
  const router = filters.findIndex((one) => one.name === 'envoy.filters.http.router')
  const end = router < 0 ? filters.length : router
  const behind = (names: readonly string[]): number => filters.findLastIndex((one) => names.includes(one.name)) + 1
  // Those of an earlier phase, or of a higher priority, are there already.
  const pastExtensions = (at: number): number => {
    let end = at
    while (filters[end]?.name.startsWith(EXTENSION_PREFIX) === true) end++
    return end
  }
  switch (filterClass) {
    case 'AUTHN':
      return behind(['envoy.filters.http.jwt_authn'])
    case 'AUTHZ':
      return behind(['envoy.filters.http.jwt_authn', 'envoy.filters.http.rbac', 'envoy.filters.http.ext_authz'])
    case 'PLUGIN_AUTHN':
      return pastExtensions(0)
    case 'PLUGIN_AUTHZ':
      return pastExtensions(behind(['envoy.filters.http.jwt_authn', 'envoy.filters.http.ext_authz']))
    case 'PLUGIN_STATS':
      return pastExtensions(behind(['envoy.filters.http.jwt_authn', 'envoy.filters.http.rbac', 'envoy.filters.http.ext_authz']))
    default:
      return end
  }
}

type Manager = ReturnType<typeof fromBinary<typeof HttpConnectionManagerSchema>>

function patchManager(filter: Filter, change: (manager: Manager) => Manager): Filter {
  if (filter.name !== HCM || filter.configType.case !== 'typedConfig') return filter
  const manager = unpackAny(filter.configType.value, HttpConnectionManagerSchema)
  if (manager === undefined) return filter
  return { ...filter, configType: { case: 'typedConfig', value: packAny(HttpConnectionManagerSchema, change(manager)) } }
}

/** Why Envoy would refuse a listener; undefined as far as can be told from here. */
export function listenerComplaint(listener: Listener): string | undefined {
  if (listener.name === '') return 'a listener with a name'
  if (listener.address === undefined && listener.listenerSpecifier.case === undefined) return 'a listener with an address'
  for (const chain of listener.filterChains) {
    for (const filter of chain.filters) {
      if (filter.name === '' || filter.configType.case === undefined) return 'a network filter with name and typed_config'
      const manager = filter.configType.case === 'typedConfig' && filter.name === HCM ? unpackAny(filter.configType.value, HttpConnectionManagerSchema) : undefined
      const complaint = manager && managerComplaint(manager)
      if (complaint !== undefined) return complaint
    }
  }
  return undefined
}

function managerComplaint(manager: Manager): string | undefined {
  if (manager.statPrefix === '') return 'a connection manager with stat_prefix'
  if (manager.routeSpecifier.case === undefined) return 'a connection manager with routes'
  for (const [index, filter] of manager.httpFilters.entries()) {
    if (filter.name === '' || (filter.configType.case === undefined && !filter.disabled)) return 'an HTTP filter with name and typed_config'
    if ((filter.name === 'envoy.filters.http.router') !== (index === manager.httpFilters.length - 1)) return 'the router as the last HTTP filter, and only there'
  }
  return manager.httpFilters.length === 0 ? 'a router' : undefined
}
