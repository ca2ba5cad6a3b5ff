import type { MessageInitShape } from '@bufbuild/protobuf'
import { compileCidr } from '#core/match/cidr.ts'
import type { FilterChainSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_components_pb.ts'

/** A filter chain, by what it may be told apart by here. */
export interface ChainInit extends Pick<Extract<MessageInitShape<typeof FilterChainSchema>, { $typeName?: never }>, 'filters' | 'metadata'> {
  readonly name: string
  readonly filterChainMatch?: {
    readonly serverNames?: string[]
    readonly prefixRanges?: PrefixRange[]
    readonly transportProtocol?: string
    readonly applicationProtocols?: string[]
  }
}

export interface PrefixRange {
  readonly addressPrefix: string
  readonly prefixLen: number
}

/** `192.0.2.0/24`, as a filter chain names it. */
export function prefixRange(range: string): PrefixRange {
  const [addressPrefix = '', length = '0'] = range.split('/')
  return { addressPrefix, prefixLen: Number(length) }
}

/**
 * Chains in the order in which they should be tried, some with ranges of addresses: so that for every connection the first that covers it wins. A listener settles the range before the server name and never looks at a wider
 * one again (envoy.config.listener.v3.FilterChainMatch): thus what holds everywhere stands again in every range, and what holds in a range in those within it.
 */
export function inOrder(chains: readonly ChainInit[]): ChainInit[] {
  const ranges = [...new Set(chains.flatMap(rangesOf))]
  const placed = chains.map((chain) => ({ chain, wanted: new Map<string, { names: string[]; ranges: string[] }>() }))
  for (const range of ['', ...ranges]) {
    const taken = new Set<string>()
    for (const { chain, wanted } of placed) {
      if (rangesOf(chain).length > 0 && !rangesOf(chain).some((one) => holdsRange(one, range))) continue
      const { serverNames = [], transportProtocol = '', applicationProtocols = [] } = chain.filterChainMatch ?? {}
      const free = (serverNames.length === 0 ? [''] : serverNames).filter((name) => !taken.has(JSON.stringify([name, transportProtocol, applicationProtocols])))
      if (free.length === 0) continue
      for (const name of free) taken.add(JSON.stringify([name, transportProtocol, applicationProtocols]))
      // Outside of all ranges a chain stays by itself: one that names a range is for nothing else.
      const key = `${range === '' ? '' : 'in'} ${free.join(' ')}`
      const same = wanted.get(key) ?? { names: free.filter((name) => name !== ''), ranges: [] }
      wanted.set(key, same)
      if (range !== '') same.ranges.push(range)
    }
  }
  return placed.flatMap(({ chain, wanted }) => [...wanted.values()].map(({ names, ranges: of }) => (of.length === 0 && names.length === (chain.filterChainMatch?.serverNames ?? []).length ? chain : { ...chain, filterChainMatch: { ...chain.filterChainMatch, serverNames: names, prefixRanges: of.map(prefixRange) } })))
}

/** Chains of several services at one port, each for ranges: what two would take alike is the first one's. Two chains for the same make a listener that no proxy takes. */
export function withoutTwins(chains: readonly ChainInit[]): ChainInit[] {
  const taken = new Set<string>()
  const all = chains.flatMap(rangesOf)
  return chains.flatMap((chain) => {
    const { serverNames = [], transportProtocol = '', applicationProtocols = [] } = chain.filterChainMatch ?? {}
    const free = new Map<string, { readonly names: string[]; readonly ranges: string[] }>()
    for (const range of rangesOf(chain)) {
      // One range may be written in several ways.
      const first = all.find((one) => holdsRange(one, range) && holdsRange(range, one))
      const names = (serverNames.length === 0 ? [''] : serverNames).filter((name) => !taken.has(JSON.stringify([first, name, transportProtocol, applicationProtocols])))
      if (names.length === 0) continue
      for (const name of names) taken.add(JSON.stringify([first, name, transportProtocol, applicationProtocols]))
      const same = free.get(names.join(' ')) ?? { names: names.filter((name) => name !== ''), ranges: [] }
      free.set(names.join(' '), same)
      same.ranges.push(range)
    }
    return [...free.values()].map(({ names, ranges }) => ({ ...chain, filterChainMatch: { ...chain.filterChainMatch, serverNames: names, prefixRanges: ranges.map(prefixRange) } }))
  })
}

const rangesOf = (chain: ChainInit): string[] => (chain.filterChainMatch?.prefixRanges ?? []).map((one) => `${one.addressPrefix}/${one.prefixLen}`)

/** Whether a range lies within another, or is it; the empty one is everything. */
function holdsRange(outer: string, inner: string): boolean {
  if (inner === '') return false
  const [address = '', length] = inner.split('/')
  const [of = '', ofLength] = outer.split('/')
  return Number(ofLength) <= Number(length) && of.includes(':') === address.includes(':') && compileCidr(of, Number(ofLength))?.matches(address) === true
}
