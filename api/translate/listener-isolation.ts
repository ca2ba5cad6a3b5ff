import { DERIVED } from '#api/model/gateway-api/listener.ts'
import { hostCovers } from '#api/model/host.ts'
import type { ScopedServer } from './gateway-scope.ts'

/** Listeners of the Gateway API stand apart: a request is only that listener's whose host name fits its own most closely (gateway-api.sigs.k8s.io/reference/spec, Listener). Istio's own Gateways share what their servers have in common. */
export const isListener = (server: Pick<ScopedServer, 'gateway'>): boolean => server.gateway.includes(`~${DERIVED}~`)

const sameSocket = (a: Pick<ScopedServer, 'port' | 'bind'>, b: Pick<ScopedServer, 'port' | 'bind'>): boolean => a.port === b.port && a.bind === b.bind

/** The hosts that other listeners of the same port have, by server. */
export function othersHosts(servers: readonly Omit<ScopedServer, 'others'>[], isTls: (protocol: string) => boolean): ScopedServer[] {
  const listeners = servers.filter(isListener)
  return servers.map((server): ScopedServer => {
    if (!isListener(server)) return isTls(server.protocol) ? besideOthers(server, servers.filter((one) => one !== server && sameSocket(one, server) && isTls(one.protocol))) : { ...server, others: [] }
    const own = new Set(server.hosts.map((one) => one.host))
    const others = listeners.filter((one) => sameSocket(one, server) && isTls(one.protocol) === isTls(server.protocol)).flatMap((one) => one.hosts.map((of) => of.host))
    return { ...server, others: [...new Set(others)].filter((one) => !own.has(one)).sort() }
  })
}

/** An Istio Gateway's TLS server shares what others of its port have, but not the hosts for which another one asks clients who they are: a connection to this one would get past the question. */
function besideOthers(server: Omit<ScopedServer, 'others'>, beside: readonly Omit<ScopedServer, 'others'>[]): ScopedServer {
  const own = server.hosts.map((one) => one.host)
  const asked = beside.filter((one) => asksClients(one) && !asksAlike(one, server)).flatMap((one) => one.hosts.map((of) => of.host))
  // What its own hosts do not cover, it does not serve anyway.
  return { ...server, others: [...new Set(asked)].filter((one) => !own.includes(one) && own.some((wider) => hostCovers(wider, one))).sort() }
}

const asksClients = ({ tls }: Pick<ScopedServer, 'tls'>): boolean => tls?.mode === 'MUTUAL' || tls?.mode === 'ISTIO_MUTUAL' || tls?.mode === 'OPTIONAL_MUTUAL'

const asksAlike = (a: Pick<ScopedServer, 'tls'>, b: Pick<ScopedServer, 'tls'>): boolean => JSON.stringify(questionOf(a)) === JSON.stringify(questionOf(b))

/** All that decides which clients a server takes. */
const questionOf = ({ tls }: Pick<ScopedServer, 'tls'>): readonly unknown[] => [
  tls?.mode, tls?.credentialName, tls?.credentialNames, tls?.caCertCredentialName, tls?.caCertificates, tls?.tlsCertificates?.map((one) => one.caCertificates), tls?.caCrl,
  tls?.subjectAltNames, tls?.verifyCertificateSpki, tls?.verifyCertificateHash,
]

/** Exact names before wildcards, longer ones before shorter. */
const closeness = (host: string): number => (host.includes('*') ? host.length : 1000 + host.length)

const closest = (hosts: readonly string[], domain: string): number => Math.max(-1, ...hosts.filter((one) => hostCovers(one, domain)).map(closeness))

/** Whether another listener has a domain, for fitting it more closely. */
export const isOthers = ({ hosts, others }: Pick<ScopedServer, 'hosts' | 'others'>, domain: string): boolean => others.length > 0 && closest(others, domain) > closest(hosts.map((one) => one.host), domain)
