import { readFileSync } from 'node:fs'
import { callApi, meshPath } from '../client.ts'
import type { Context } from '../context.ts'
import { at, list, text } from './json.ts'
import type { HostState } from './endpoint-table.ts'
import { type SecretState, secretsOf } from './secret-table.ts'

/** A resource in protobuf's JSON form, names in lower camel case; `origins`: the configuration objects behind all of it, where somebody knows them. */
export interface ShownResource {
  readonly type: string
  readonly name: string
  readonly version: string
  readonly origins: readonly string[]
  readonly state: 'ACTIVE' | 'WARMING' | 'STATIC'
  readonly content: unknown
}

/** What a proxy holds. `live`: as its own admin port tells it, so with what it makes of it. */
export interface ShownProxy {
  readonly live: boolean
  readonly resources: readonly ShownResource[]
  /** Endpoints as the proxy sees them now; undefined: only what was sent is known. */
  readonly hosts: readonly HostState[] | undefined
  readonly secrets: readonly SecretState[]
  readonly bootstrap: unknown
}

const TYPES = {
  listener: 'envoy.config.listener.v3.Listener',
  route: 'envoy.config.route.v3.RouteConfiguration',
  cluster: 'envoy.config.cluster.v3.Cluster',
  endpoint: 'envoy.config.endpoint.v3.ClusterLoadAssignment',
  secret: 'envoy.extensions.transport_sockets.tls.v3.Secret',
} as const
export type Section = keyof typeof TYPES

export const ofSection = (resources: readonly ShownResource[], section: Section): ShownResource[] => resources.filter(({ type }) => type.endsWith(TYPES[section].slice(TYPES[section].lastIndexOf('.'))))

const ADMIN_PORT = 15000
const LOOPBACK = /^(127\.|::1$)/
/** Whoever does not answer here is elsewhere. */
const HERE_MS = 700

/** As the control plane sent it; and where the proxy runs on this host, and its admin port says that it is the one, as it is. */
export async function fromControlPlane(context: Context, proxy: string): Promise<ShownProxy> {
  const { sent, held } = await sentAndHeld(context, proxy)
  return held ?? { live: false, resources: sent, hosts: undefined, secrets: secretsOf(sent, undefined), bootstrap: undefined }
}

/**
 * What a proxy was sent, and beside it what it holds, as its admin port tells it.
 * @param admin where that is; without it a proxy of this host is found by itself, and of any other nothing is known
 */
export async function sentAndHeld(context: Context, proxy: string, admin?: string): Promise<{ readonly sent: readonly ShownResource[]; readonly held: ShownProxy | undefined }> {
  const told = await callApi<{ resources: (Omit<ShownResource, 'state'>)[] }>(context, 'GET', meshPath(context, `/proxies/${encodeURIComponent(proxy)}/config`))
  const sent = told.resources.map((one): ShownResource => ({ ...one, type: one.type.slice(one.type.lastIndexOf('/') + 1), state: 'ACTIVE' }))
  const at = admin ?? (await adminHere(await nodeIdOf(context, proxy)))
  return { sent, held: at === undefined ? undefined : await fromAdmin(at, new Map(sent.map((one) => [`${one.type} ${one.name}`, one.origins]))) }
}

async function adminHere(id: string): Promise<string | undefined> {
  const [, address = ''] = id.split('~')
  const admin = `${address.includes(':') ? `[${address}]` : address}:${ADMIN_PORT}`
  return LOOPBACK.test(address) && (await isProxy(admin, id)) ? admin : undefined
}

async function nodeIdOf(context: Context, proxy: string): Promise<string> {
  const { items } = await callApi<{ items: { node: { id: string; name: string; namespace: string } }[] }>(context, 'GET', meshPath(context, '/proxies'))
  return items.find(({ node }) => `${node.name}.${node.namespace}` === proxy)?.node.id ?? ''
}

async function isProxy(address: string, id: string): Promise<boolean> {
  try {
    const info: unknown = await (await fetch(`http://${address}/server_info`, { signal: AbortSignal.timeout(HERE_MS) })).json()
    return text(info, 'node', 'id') === id
  } catch {
    // Nothing there, or nothing that is a proxy: what was sent is shown.
    return false
  }
}

/**
 * As a proxy's admin port tells it, Envoy's or Weft's own.
 * @param origins what the control plane knows of where resources came from, by type and name
 */
export async function fromAdmin(address: string, origins: ReadonlyMap<string, readonly string[]> = new Map()): Promise<ShownProxy> {
  const page = async (path: string): Promise<unknown> => {
    const response = await fetch(`http://${address}${path}`).catch((error: unknown) => {
      throw new Error(`no proxy answers at ${address}`, { cause: error })
    })
    if (!response.ok) throw new Error(`${address}${path} answers ${response.status}`)
    return response.json()
  }
  const [dump, clusters, certificates, info] = await Promise.all([page('/config_dump?include_eds'), page('/clusters?format=json'), page('/certs'), page('/server_info')])
  return fromDump(dump, { clusters, certificates, info, origins })
}

/** From a file that holds a proxy's `/config_dump`. @throws Error when it is none */
export function fromFile(file: string): ShownProxy {
  const dump: unknown = JSON.parse(readFileSync(file === '-' ? 0 : file, 'utf8'))
  if (list(dump, 'configs').length === 0) throw new Error(`${file} holds no config dump`)
  return fromDump(dump, { clusters: undefined, certificates: undefined, info: undefined, origins: new Map() })
}

interface Beside {
  readonly clusters: unknown
  readonly certificates: unknown
  readonly info: unknown
  readonly origins: ReadonlyMap<string, readonly string[]>
}

/** Where a dump keeps resources of a type: section, list, and the way from an entry to the message (envoy.admin.v3.ConfigDump). */
const PLACES: readonly { readonly type: string; readonly list: string; readonly path: readonly string[]; readonly state: ShownResource['state'] }[] = [
  { type: TYPES.listener, list: 'dynamicListeners', path: ['activeState', 'listener'], state: 'ACTIVE' },
  { type: TYPES.listener, list: 'dynamicListeners', path: ['warmingState', 'listener'], state: 'WARMING' },
  { type: TYPES.listener, list: 'staticListeners', path: ['listener'], state: 'STATIC' },
  { type: TYPES.route, list: 'dynamicRouteConfigs', path: ['routeConfig'], state: 'ACTIVE' },
  { type: TYPES.route, list: 'staticRouteConfigs', path: ['routeConfig'], state: 'STATIC' },
  { type: TYPES.cluster, list: 'dynamicActiveClusters', path: ['cluster'], state: 'ACTIVE' },
  { type: TYPES.cluster, list: 'dynamicWarmingClusters', path: ['cluster'], state: 'WARMING' },
  { type: TYPES.cluster, list: 'staticClusters', path: ['cluster'], state: 'STATIC' },
  { type: TYPES.endpoint, list: 'dynamicEndpointConfigs', path: ['endpointConfig'], state: 'ACTIVE' },
  { type: TYPES.endpoint, list: 'staticEndpointConfigs', path: ['endpointConfig'], state: 'STATIC' },
  { type: TYPES.secret, list: 'dynamicActiveSecrets', path: [], state: 'ACTIVE' },
  { type: TYPES.secret, list: 'dynamicWarmingSecrets', path: [], state: 'WARMING' },
  { type: TYPES.secret, list: 'staticSecrets', path: [], state: 'STATIC' },
]

function fromDump(dump: unknown, { clusters, certificates, info, origins }: Beside): ShownProxy {
  const configs = list(plainNames(dump), 'configs')
  const resources = configs.flatMap((config) =>
    PLACES.flatMap(({ type, list: name, path, state }) =>
      list(config, name).flatMap((entry): ShownResource[] => {
        const found = path.length === 0 ? entry : at(entry, ...path)
        if (found === undefined) return []
        const named = text(found, 'name') || text(found, 'clusterName') || text(entry, 'name')
        return [{ type, name: named, version: text(entry, 'versionInfo') || text(entry, 'activeState', 'versionInfo'), origins: origins.get(`${type} ${named}`) ?? [], state, content: withoutKeys(found) }]
      }),
    ),
  )
  const bootstrap = configs.find((config) => text(config, '@type').endsWith('.BootstrapConfigDump'))
  return {
    live: clusters !== undefined,
    resources,
    hosts: clusters === undefined ? undefined : hostsOf(plainNames(clusters)),
    secrets: secretsOf(ofSection(resources, 'secret'), plainNames(certificates)),
    // A proxy of Weft has none but what it was started with: it says who it is.
    bootstrap: withoutKeys(at(bootstrap, 'bootstrap')) ?? (info === undefined ? undefined : { node: at(plainNames(info), 'node') }),
  }
}

function hostsOf(clusters: unknown): HostState[] {
  return list(clusters, 'clusterStatuses').flatMap((cluster) =>
    list(cluster, 'hostStatuses').map((host): HostState => {
      const socket = at(host, 'address', 'socketAddress')
      const pipe = text(host, 'address', 'pipe', 'path') || text(host, 'address', 'envoyInternalAddress', 'serverListenerName')
      const health = text(host, 'healthStatus', 'edsHealthStatus')
      const fails = at(host, 'healthStatus', 'failedActiveHealthCheck') === true || health === 'UNHEALTHY' || health === 'TIMEOUT'
      return {
        endpoint: socket === undefined ? `unix://${pipe}` : `${text(socket, 'address')}:${text(socket, 'portValue')}`,
        port: text(socket, 'portValue'),
        status: fails ? 'UNHEALTHY' : health === 'DRAINING' || health === 'DEGRADED' ? health : 'HEALTHY',
        outlier: at(host, 'healthStatus', 'failedOutlierCheck') === true ? 'FAILED' : 'OK',
        cluster: text(cluster, 'name'),
      }
    }),
  )
}

/** Keys of protobuf messages in one spelling: Envoy writes them as the .proto files do. Keys with a dot are those of maps, and stay. */
export function plainNames(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plainNames)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [/[.@/]/.test(name) ? name : name.replace(/_([a-z\d])/g, (_, letter: string) => letter.toUpperCase()), plainNames(one)]))
}

/** Envoy hides private keys by itself; what a file holds may be anything. */
function withoutKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutKeys)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, /^(privateKey|password|genericSecret|sessionTicketKeys|secretValue)$/.test(name) && one !== undefined ? '[redacted]' : withoutKeys(one)]))
}
