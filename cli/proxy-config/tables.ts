import { at, list, text } from './json.ts'

/** A resource as the REST API shows it: the message in protobuf's JSON form. */
export interface SentResource {
  readonly type: string
  readonly name: string
  readonly version: string
  readonly origins: readonly string[]
  readonly content: unknown
}

export interface Table {
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

const origin = (resource: SentResource, kind: string): string => resource.origins.filter((name) => name.startsWith(`${kind}/`)).map((name) => name.slice(kind.length + 1)).join(', ')

const byFirstColumns = (a: readonly string[], b: readonly string[]): number => a.join('\u0000').localeCompare(b.join('\u0000'))

/** ADDRESSES PORT MATCH DESTINATION: a row a filter chain. */
export function listenerRows(resources: readonly SentResource[]): Table {
  const rows = resources.flatMap((resource) => {
    const socket = at(resource.content, 'address', 'socketAddress')
    const chains = [...list(resource.content, 'filterChains'), ...(at(resource.content, 'defaultFilterChain') ? [at(resource.content, 'defaultFilterChain')] : [])]
    return chains.map((chain) => [text(socket, 'address'), text(socket, 'portValue'), chainMatch(at(chain, 'filterChainMatch')), chainDestination(chain), resource.origins.join(', ')])
  })
  return { header: ['ADDRESSES', 'PORT', 'MATCH', 'DESTINATION', 'FROM'], rows: rows.sort(byFirstColumns) }
}

function chainMatch(match: unknown): string {
  const words = [
    text(match, 'destinationPort') && `Addr: *:${text(match, 'destinationPort')}`,
    text(match, 'transportProtocol') && `Trans: ${text(match, 'transportProtocol')}`,
    list(match, 'applicationProtocols').length > 0 && `App: ${list(match, 'applicationProtocols').join(',')}`,
    list(match, 'serverNames').length > 0 && `SNI: ${list(match, 'serverNames').join(',')}`,
  ].filter(Boolean)
  return words.length > 0 ? words.join('; ') : 'ALL'
}

function chainDestination(chain: unknown): string {
  const last = at(list(chain, 'filters').at(-1), 'typedConfig')
  if (at(last, 'scopedRoutes')) return `Routes by scope: ${text(last, 'scopedRoutes', 'name') || text(last, 'statPrefix')}`
  const named = text(last, 'rds', 'routeConfigName')
  if (named) return `Route: ${named}`
  const clusters = list(last, 'routeConfig', 'virtualHosts').flatMap((host) => list(host, 'routes').map((route) => text(route, 'route', 'cluster')))
  if (clusters.length > 0) return `Cluster: ${[...new Set(clusters)].join(', ')}`
  return text(last, 'cluster') ? `Cluster: ${text(last, 'cluster')}` : text(last, '@type')
}

/** NAME VHOST NAME DOMAINS MATCH DESTINATION VIRTUAL SERVICE: a row a route. */
export function routeRows(resources: readonly SentResource[]): Table {
  const rows = resources.flatMap((resource) =>
    list(resource.content, 'virtualHosts').flatMap((host) =>
      list(host, 'routes').map((route) => [
        resource.name,
        text(host, 'name'),
        list(host, 'domains').join(', '),
        routeMatch(at(route, 'match')),
        routeDestination(route),
        origin(resource, 'VirtualService'),
      ]),
    ),
  )
  return { header: ['NAME', 'VHOST NAME', 'DOMAINS', 'MATCH', 'DESTINATION', 'VIRTUAL SERVICE'], rows }
}

function routeMatch(match: unknown): string {
  const path =
    (text(match, 'path') && text(match, 'path')) ||
    (text(match, 'pathSeparatedPrefix') && `${text(match, 'pathSeparatedPrefix')}/*`) ||
    (text(match, 'safeRegex', 'regex') && `regex ${text(match, 'safeRegex', 'regex')}`) ||
    `${text(match, 'prefix')}*`
  const headers = list(match, 'headers').map((header) => text(header, 'name'))
  return headers.length > 0 ? `${path} if ${headers.join(', ')}` : path
}

function routeDestination(route: unknown): string {
  const weighted = list(route, 'route', 'weightedClusters', 'clusters')
  if (weighted.length > 0) return weighted.map((cluster) => `${text(cluster, 'weight') || '0'} ${text(cluster, 'name')}`).join(', ')
  if (at(route, 'redirect')) return 'redirect'
  if (at(route, 'directResponse')) return `answers ${text(route, 'directResponse', 'status')}`
  return text(route, 'route', 'cluster')
}

/** SERVICE FQDN PORT SUBSET DIRECTION TYPE DESTINATION RULE */
export function clusterRows(resources: readonly SentResource[]): Table {
  const rows = resources.map((resource) => {
    const [direction = '', port = '', subset = '', host = ''] = resource.name.split('|')
    const named = resource.name.includes('|')
    return [named ? host || '-' : resource.name, named ? port : '-', subset || '-', named ? direction : '-', text(resource.content, 'type') || 'STATIC', origin(resource, 'DestinationRule')]
  })
  return { header: ['SERVICE FQDN', 'PORT', 'SUBSET', 'DIRECTION', 'TYPE', 'DESTINATION RULE'], rows: rows.sort(byFirstColumns) }
}

/** ENDPOINT STATUS CLUSTER: what was sent; what the proxy makes of it (ejections, checks) its own `/clusters` tells. */
export function endpointRows(resources: readonly SentResource[]): Table {
  const rows = resources.flatMap((resource) =>
    list(resource.content, 'endpoints').flatMap((locality) =>
      list(locality, 'lbEndpoints').map((endpoint) => {
        const socket = at(endpoint, 'endpoint', 'address', 'socketAddress')
        return [`${text(socket, 'address')}:${text(socket, 'portValue')}`, text(endpoint, 'healthStatus') || 'HEALTHY', resource.name]
      }),
    ),
  )
  return { header: ['ENDPOINT', 'STATUS', 'CLUSTER'], rows: rows.sort(byFirstColumns) }
}

/** RESOURCE NAME TYPE VERSION: a secret's content is never shown. */
export function secretRows(resources: readonly SentResource[]): Table {
  const rows = resources.map((resource) => [resource.name, at(resource.content, 'validationContext') ? 'CA' : 'Cert Chain', resource.version, resource.origins.join(', ')])
  return { header: ['RESOURCE NAME', 'TYPE', 'VERSION', 'FROM'], rows: rows.sort(byFirstColumns) }
}
