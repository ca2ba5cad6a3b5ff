import { at, list, text } from './json.ts'
import { byCells, originOf, type Row, type Table } from './row.ts'
import { routeMatch } from './route-table.ts'
import type { ShownResource } from './source.ts'

/** ADDRESSES PORT MATCH DESTINATION: a row a filter chain. */
export function listenerTable(resources: readonly ShownResource[]): Table {
  const rows = resources.flatMap(({ name, origins, content }) => {
    const socket = at(content, 'address', 'socketAddress')
    const more = list(content, 'additionalAddresses').map((one) => text(one, 'address', 'socketAddress', 'address'))
    const addresses = [text(socket, 'address'), ...more].filter((one) => one !== '').join(',') || text(content, 'address', 'envoyInternalAddress', 'serverListenerName') || '-'
    const port = text(socket, 'portValue') || '0'
    const fallback = at(content, 'defaultFilterChain')
    const chains = [...list(content, 'filterChains'), ...(fallback === undefined ? [] : [fallback])]
    return chains.map((chain): Row => {
      const [kind, destination] = destinationOf(chain)
      return { cells: [addresses, port, chain === fallback ? 'ALL' : matchOf(at(chain, 'filterChainMatch')), destination, originOf(chain, origins)], about: { name, address: addresses, port, type: kind } }
    })
  })
  return { header: ['ADDRESSES', 'PORT', 'MATCH', 'DESTINATION', 'FROM'], rows: rows.sort(byCells) }
}

function matchOf(match: unknown): string {
  const prefixes = list(match, 'prefixRanges').map((range) => `${text(range, 'addressPrefix')}${text(range, 'prefixLen') === '32' || text(range, 'prefixLen') === '128' ? '' : `/${text(range, 'prefixLen') || '0'}`}`)
  const port = text(match, 'destinationPort')
  const words = [
    list(match, 'serverNames').length > 0 && `SNI: ${list(match, 'serverNames').join(',')}`,
    text(match, 'transportProtocol') && `Trans: ${text(match, 'transportProtocol')}`,
    list(match, 'applicationProtocols').length > 0 && `App: ${list(match, 'applicationProtocols').join(',')}`,
    (prefixes.length > 0 || port !== '') && `Addr: ${prefixes.length === 0 ? '*' : prefixes.join(',')}${port === '' ? '' : `:${port}`}`,
  ].filter((one) => one !== false && one !== '')
  return words.length > 0 ? words.join('; ') : 'ALL'
}

/** `HTTP` or `TCP`, and where the chain leads. */
function destinationOf(chain: unknown): [kind: string, destination: string] {
  const filters = list(chain, 'filters').map((filter) => at(filter, 'typedConfig'))
  const http = filters.find((filter) => text(filter, '@type').endsWith('.HttpConnectionManager'))
  if (http !== undefined) {
    if (at(http, 'scopedRoutes') !== undefined) return ['HTTP', `Routes by scope: ${text(http, 'scopedRoutes', 'name') || text(http, 'statPrefix')}`]
    const named = text(http, 'rds', 'routeConfigName')
    if (named !== '') return ['HTTP', `Route: ${named}`]
    const routes = list(http, 'routeConfig', 'virtualHosts').flatMap((host) => list(host, 'routes'))
    const clusters = new Set(routes.map((route) => text(route, 'route', 'cluster')).filter((cluster) => cluster !== ''))
    if (clusters.size === 1) return ['HTTP', `Cluster: ${[...clusters].join('')}`]
    return ['HTTP', `Inline Route: ${[...new Set(routes.map((route) => routeMatch(at(route, 'match'))))].join(', ')}`]
  }
  const tcp = filters.find((filter) => text(filter, '@type').endsWith('.TcpProxy'))
  if (tcp === undefined) return ['TCP', 'Non-HTTP/Non-TCP']
  const weighted = list(tcp, 'weightedClusters', 'clusters').map((cluster) => text(cluster, 'name'))
  return ['TCP', `Cluster: ${text(tcp, 'cluster') || weighted.join(', ')}`]
}
