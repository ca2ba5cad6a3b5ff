/** The DNS suffix of cluster services. */
const CLUSTER_DOMAIN = 'svc.cluster.local'

/** The host of a Kubernetes Service, `order-service.prod.svc.cluster.local`. */
export const serviceHost = (name: string, namespace: string): string => `${name}.${namespace}.${CLUSTER_DOMAIN}`

const CLUSTER_HOST = new RegExp(`^([^.*]+)\\.([^.]+)\\.${CLUSTER_DOMAIN.replaceAll('.', '\\.')}$`)

/** Name and namespace of a host within the cluster's domain; undefined for others. */
export function clusterPlace(host: string): { readonly name: string; readonly namespace: string } | undefined {
  const [, name, namespace] = CLUSTER_HOST.exec(host) ?? []
  return name === undefined || namespace === undefined ? undefined : { name, namespace }
}

/** A host as a configuration object in `namespace` means it: a name without a dot is a service of that namespace (istio.io, VirtualService.hosts). */
export function resolveHost(host: string, namespace: string): string {
  return host.includes('.') || host === '*' ? host.toLowerCase() : serviceHost(host.toLowerCase(), namespace)
}

/** The wildcards that cover `host`, longest first: `*.b.c`, `*.c`, `*` for `a.b.c`. A wildcard is covered by shorter ones. */
export function coveringWildcards(host: string): string[] {
  const found: string[] = []
  const start = host.startsWith('*.') ? host.indexOf('.') + 1 : 0
  for (let dot = host.indexOf('.', start); dot >= 0; dot = host.indexOf('.', dot + 1)) found.push(`*${host.slice(dot)}`)
  if (host !== '*') found.push('*')
  return found
}

/** Whether `pattern`, a host or `*` or `*.suffix`, covers `host`. */
export function hostCovers(pattern: string, host: string): boolean {
  return pattern === host || pattern === '*' || (pattern.startsWith('*') && host.endsWith(pattern.slice(1)))
}
