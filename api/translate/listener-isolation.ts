import { DERIVED } from '#api/model/gateway-api/listener.ts'
import { hostCovers } from '#api/model/host.ts'
import type { ScopedServer } from './gateway-scope.ts'

/** Listeners of the Gateway API stand apart: a request is only that listener's whose host name fits its own most closely (gateway-api.sigs.k8s.io/reference/spec, Listener). Istio's own Gateways share what their servers have in common. */
const isListener = (server: Pick<ScopedServer, 'gateway'>): boolean => server.gateway.includes(`~${DERIVED}~`)

/** The hosts that other listeners of the same port have, by server. */
export function othersHosts(servers: readonly Omit<ScopedServer, 'others'>[], isTls: (protocol: string) => boolean): ScopedServer[] {
  const listeners = servers.filter(isListener)
  return servers.map((server): ScopedServer => {
    if (!isListener(server)) return { ...server, others: [] }
    const own = new Set(server.hosts.map((one) => one.host))
    const others = listeners.filter((one) => one.port === server.port && isTls(one.protocol) === isTls(server.protocol)).flatMap((one) => one.hosts.map((of) => of.host))
    return { ...server, others: [...new Set(others)].filter((one) => !own.has(one)).sort() }
  })
}

/** Exact names before wildcards, longer ones before shorter. */
const closeness = (host: string): number => (host.includes('*') ? host.length : 1000 + host.length)

const closest = (hosts: readonly string[], domain: string): number => Math.max(-1, ...hosts.filter((one) => hostCovers(one, domain)).map(closeness))

/** Whether another listener has a domain, for fitting it more closely. */
export const isOthers = ({ hosts, others }: Pick<ScopedServer, 'hosts' | 'others'>, domain: string): boolean => others.length > 0 && closest(others, domain) > closest(hosts.map((one) => one.host), domain)
