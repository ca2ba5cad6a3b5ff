import type { FilterChainPlan, ListenerPlan } from '../plan/listener.ts'

/** What is known of a connection before a filter chain is chosen. */
export interface Arrival {
  readonly destinationPort: number
  /** Where the connection went before it was captured; absent: not known, and ranges of destinations do not match. */
  readonly destinationAddress?: string
  /** SNI, empty without one. */
  readonly serverName: string
  readonly transportProtocol: 'tls' | 'raw_buffer'
  /** ALPN in the client's order, or what the HTTP inspector found. */
  readonly applicationProtocols: readonly string[]
}

/**
 * The filter chain of a connection. Criteria are settled one after the other (destination port, destination address, server name, transport protocol, application protocols):
 * the most specific value that any remaining chain names is taken, and later criteria never reopen earlier ones (envoy.config.listener.v3.FilterChainMatch).
 * Undefined: no chain, close the connection.
 */
export function selectChain(listener: ListenerPlan, connection: Arrival): FilterChainPlan | undefined {
  const { chains } = listener
  const port = bestPort(chains, connection.destinationPort)
  const bits = bestBits(chains, port, connection.destinationAddress)
  const name = bestName(chains, port, bits, connection, connection.serverName.toLowerCase())
  if (name === undefined) return listener.defaultChain
  const transport = bestTransport(chains, port, bits, connection, name)
  const protocol = bestProtocol(chains, port, bits, connection, name, transport)
  for (const chain of chains) {
    if (arrives(chain, port, bits, connection) && names(chain, name) && chain.match.transportProtocol === transport && speaks(chain, protocol)) return chain
  }
  return listener.defaultChain
}

/** A chain without server names has the empty one. */
function names(chain: FilterChainPlan, name: string): boolean {
  return name === '' ? chain.match.serverNames.length === 0 : chain.match.serverNames.includes(name)
}

function speaks(chain: FilterChainPlan, protocol: string): boolean {
  return protocol === '' ? chain.match.applicationProtocols.length === 0 : chain.match.applicationProtocols.includes(protocol)
}

/** Whether the chain names the port and the range of addresses (by its length; -1: none) that were settled. */
function arrives(chain: FilterChainPlan, port: number | undefined, bits: number, connection: Arrival): boolean {
  const { destinationPort, destinations } = chain.match
  if (destinationPort !== port) return false
  if (destinations === undefined) return bits === -1
  if (bits === -1 || connection.destinationAddress === undefined) return false
  for (const range of destinations) if (range.bits === bits && range.matches(connection.destinationAddress)) return true
  return false
}

function bestPort(chains: readonly FilterChainPlan[], port: number): number | undefined {
  for (const chain of chains) if (chain.match.destinationPort === port) return port
  return undefined
}

/** Length of the longest range that holds the address; -1: chains that name none. */
function bestBits(chains: readonly FilterChainPlan[], port: number | undefined, address: string | undefined): number {
  let best = -1
  if (address === undefined) return best
  for (const chain of chains) {
    if (chain.match.destinationPort !== port || chain.match.destinations === undefined) continue
    for (const range of chain.match.destinations) if (range.bits > best && range.matches(address)) best = range.bits
  }
  return best
}

/** The criterion itself: an exact name, `*.suffix`, or '' for chains that name none. Undefined: nothing is left. */
function bestName(chains: readonly FilterChainPlan[], port: number | undefined, bits: number, connection: Arrival, serverName: string): string | undefined {
  let best: string | undefined
  for (const chain of chains) {
    if (!arrives(chain, port, bits, connection)) continue
    if (chain.match.serverNames.length === 0) best ??= ''
    for (const name of chain.match.serverNames) {
      if (name === serverName) return name
      if (name.startsWith('*.') && serverName.endsWith(name.slice(1)) && serverName.length >= name.length && name.length > (best?.length ?? 0)) best = name
    }
  }
  return best
}

function bestTransport(chains: readonly FilterChainPlan[], port: number | undefined, bits: number, connection: Arrival, name: string): '' | 'tls' | 'raw_buffer' {
  const protocol = connection.transportProtocol
  for (const chain of chains) if (arrives(chain, port, bits, connection) && names(chain, name) && chain.match.transportProtocol === protocol) return protocol
  return ''
}

function bestProtocol(chains: readonly FilterChainPlan[], port: number | undefined, bits: number, connection: Arrival, name: string, transport: string): string {
  for (const protocol of connection.applicationProtocols) {
    for (const chain of chains) {
      if (arrives(chain, port, bits, connection) && names(chain, name) && chain.match.transportProtocol === transport && chain.match.applicationProtocols.includes(protocol)) return protocol
    }
  }
  return ''
}
