import type { FilterChainPlan, ListenerPlan } from '../plan/plan.ts'

/** What is known of a connection before a filter chain is chosen. */
export interface Arrival {
  readonly destinationPort: number
  /** SNI, empty without one. */
  readonly serverName: string
  readonly transportProtocol: 'tls' | 'raw_buffer'
  /** ALPN in the client's order, or what the HTTP inspector found. */
  readonly applicationProtocols: readonly string[]
}

/**
 * The filter chain of a connection. Criteria are settled one after the other (destination port, server name, transport protocol, application protocols): the most
 * specific value that any remaining chain names is taken, and later criteria never reopen earlier ones (envoy.config.listener.v3.FilterChainMatch).
 * Undefined: no chain, close the connection.
 */
export function selectChain(listener: ListenerPlan, connection: Arrival): FilterChainPlan | undefined {
  const { chains } = listener
  const port = bestPort(chains, connection.destinationPort)
  const name = bestName(chains, port, connection.serverName.toLowerCase())
  if (name === undefined) return listener.defaultChain
  const transport = bestTransport(chains, port, name, connection.transportProtocol)
  const protocol = bestProtocol(chains, port, name, transport, connection.applicationProtocols)
  for (const chain of chains) {
    if (chain.match.destinationPort === port && names(chain, name) && chain.match.transportProtocol === transport && speaks(chain, protocol)) return chain
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

function bestPort(chains: readonly FilterChainPlan[], port: number): number | undefined {
  for (const chain of chains) if (chain.match.destinationPort === port) return port
  return undefined
}

/** The criterion itself: an exact name, `*.suffix`, or '' for chains that name none. Undefined: nothing is left. */
function bestName(chains: readonly FilterChainPlan[], port: number | undefined, serverName: string): string | undefined {
  let best: string | undefined
  for (const chain of chains) {
    if (chain.match.destinationPort !== port) continue
    if (chain.match.serverNames.length === 0) best ??= ''
    for (const name of chain.match.serverNames) {
      if (name === serverName) return name
      if (name.startsWith('*.') && serverName.endsWith(name.slice(1)) && serverName.length >= name.length && name.length > (best?.length ?? 0)) best = name
    }
  }
  return best
}

function bestTransport(chains: readonly FilterChainPlan[], port: number | undefined, name: string, protocol: 'tls' | 'raw_buffer'): '' | 'tls' | 'raw_buffer' {
  for (const chain of chains) if (chain.match.destinationPort === port && names(chain, name) && chain.match.transportProtocol === protocol) return protocol
  return ''
}

function bestProtocol(chains: readonly FilterChainPlan[], port: number | undefined, name: string, transport: string, offered: readonly string[]): string {
  for (const protocol of offered) {
    for (const chain of chains) {
      if (chain.match.destinationPort === port && names(chain, name) && chain.match.transportProtocol === transport && chain.match.applicationProtocols.includes(protocol)) return protocol
    }
  }
  return ''
}
