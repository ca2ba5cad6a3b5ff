import { at, list, text } from './json.ts'
import { originOf, type Row, shortName, type Table } from './row.ts'
import type { ShownResource } from './source.ts'

/** NAME VHOST NAME DOMAINS MATCH VIRTUAL SERVICE: a row a route, in the order in which they are tried. */
export function routeTable(resources: readonly ShownResource[]): Table {
  const rows = resources.flatMap(({ name, origins, content }) =>
    list(content, 'virtualHosts').flatMap((host) =>
      list(host, 'routes').map((route): Row => {
        const from = originOf(route, [])
        const behind = from === '' ? origins.join(', ') : from
        const rule = from.startsWith('Service/') || from.startsWith('ServiceEntry/') ? '' : shortName(from, 'VirtualService')
        return { cells: [name, text(host, 'name'), list(host, 'domains').join(', '), routeMatch(at(route, 'match')), rule, destinationOf(route), behind], about: { name } }
      }),
    ),
  )
  return { header: ['NAME', 'VHOST NAME', 'DOMAINS', 'MATCH', 'VIRTUAL SERVICE', 'DESTINATION', 'FROM'], rows: rows.sort((a, b) => (a.about['name'] ?? '').localeCompare(b.about['name'] ?? '', 'en', { numeric: true })) }
}

export function routeMatch(match: unknown): string {
  const path =
    text(match, 'path') ||
    (text(match, 'pathSeparatedPrefix') && `${text(match, 'pathSeparatedPrefix')}/*`) ||
    (text(match, 'safeRegex', 'regex') && `regex ${text(match, 'safeRegex', 'regex')}`) ||
    (text(match, 'pathMatchPolicy', 'typedConfig', 'pathTemplate') && `template ${text(match, 'pathMatchPolicy', 'typedConfig', 'pathTemplate')}`) ||
    `${text(match, 'prefix') || '/'}*`
  const conditions = [...list(match, 'headers'), ...list(match, 'queryParameters')].map((one) => text(one, 'name'))
  return conditions.length > 0 ? `${path} if ${conditions.join(', ')}` : path
}

function destinationOf(route: unknown): string {
  const weighted = list(route, 'route', 'weightedClusters', 'clusters')
  if (weighted.length > 0) return weighted.map((cluster) => `${text(cluster, 'weight') || '0'} ${text(cluster, 'name')}`).join(', ')
  if (at(route, 'redirect') !== undefined) return 'redirect'
  if (at(route, 'directResponse') !== undefined) return `answers ${text(route, 'directResponse', 'status')}`
  return text(route, 'route', 'cluster')
}
