import { BACKEND_CERTIFICATE_ANNOTATION, PROCESSES_ANNOTATION } from '#api/model/gateway-api/gateway.ts'
import { DERIVED } from '#api/model/gateway-api/listener.ts'
import { hostCovers } from '#api/model/host.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { GatewayServer } from '#core/resource/gateway.ts'
import type { MeshService } from '#api/model/mesh-service.ts'
import type { Labels } from '#api/model/labels.ts'
import { writtenAt } from '#api/model/written.ts'
import type { Written } from '#api/model/written.ts'
import { isOthers, othersHosts } from './listener-isolation.ts'

/** A host that a server takes, and from whose VirtualServices: `*` any namespace. */
interface ServerHost {
  readonly namespace: string
  readonly host: string
}

/** A server of a Gateway, settled for the workload that it selects. */
export interface ScopedServer {
  /** Istio's name of its routes, first part of the scope key: `https.443.https.api-gateway.istio-ingress`, or `http.80` for all plaintext servers of a port (`http.80.127.0.0.1` at an address). */
  readonly id: string
  /** `istio-ingress/api-gateway` */
  readonly gateway: string
  /** The object and field that somebody wrote: `Gateway/istio-ingress/api-gateway servers[0]`, or a listener of the Gateway API's. */
  readonly written: Written
  /** The port that is listened on: what a Service in front of the workload makes of the server's. */
  readonly port: number
  /** The one address at which the port is listened on; empty: at all of the process's. */
  readonly bind: string
  /** The port that the Gateway names. */
  readonly serverPort: number
  readonly protocol: string
  readonly hosts: readonly ServerHost[]
  readonly tls: GatewayServer['tls']
  /** Secret of the certificate that backends are shown, where a Gateway of the Gateway API names one. */
  readonly backendCertificate?: string
  /** Hosts of other listeners of the port, which have what fits them more closely. */
  readonly others: readonly string[]
}

/** Gateways that stand for a Service of their own bear its hosts here: only processes behind it serve them, and only at its ports. */
const SERVICE_ANNOTATION = 'internal.istio.io/gateway-service'

/**
 * The servers that Gateways give a workload, the oldest Gateway's first. A TLS host that an older server of the port has is that one's: two chains for one name are refused.
 * Plaintext servers of a port whose protocol the oldest of them contradicts are none, as in Istio.
 * `hosts` are those of services that name the workload by its address.
 */
export function gatewayServers(reader: MeshReader, labels: Labels, own: string, hosts: readonly string[]): ScopedServer[] {
  const services = [...reader.servicesOf(own, labels), ...hosts.flatMap((host) => reader.behind(host, own) ?? [])]
  const servers: Omit<ScopedServer, 'others'>[] = []
  const claimed = new Map<string, Set<string>>()
  const plaintext = new Map<string, string>()
  for (const one of reader.gatewaysSelecting(labels)) {
    const { namespace, name, spec, stored } = one
    if ((stored.object.metadata.annotations?.[PROCESSES_ANNOTATION] ?? own) !== own) continue
    const certificate = name.includes(`~${DERIVED}~`) ? stored.object.metadata.annotations?.[BACKEND_CERTIFICATE_ANNOTATION] : undefined
    const of = stored.object.metadata.annotations?.[SERVICE_ANNOTATION]?.split(',').map((one) => one.trim())
    const behind = of === undefined ? services : services.filter((one) => of.includes(one.host) && one.namespace === (stored.object.metadata.annotations?.[PROCESSES_ANNOTATION] ?? namespace))
    if (of !== undefined && behind.length === 0) continue
    for (const [index, server] of (spec.servers ?? []).entries()) {
      const { port, bind = '' } = server
      if (port === undefined) continue
      const protocol = port.protocol.toUpperCase()
      const terminates = servesTls(protocol)
      const targets = portsBehind(behind, port.number)
      for (const bound of targets.length > 0 ? targets : of === undefined ? [port.number] : []) {
        // Plaintext of a port is HTTP or it is bytes: the oldest server says which.
        if (!terminates) {
          const first = plaintext.get(`${bind} ${bound}`) ?? protocol
          if (servesHttp(first) !== servesHttp(protocol)) continue
          plaintext.set(`${bind} ${bound}`, first)
        }
        const id = terminates ? `https.${port.number}.${port.name}.${name}.${namespace}` : `http.${bound}${bind === '' ? '' : `.${bind}`}`
        let served = (server.hosts ?? []).map((one) => serverHost(one, namespace))
        if (terminates) {
          const taken = claimed.get(`${bind} ${bound}`) ?? new Set()
          served = served.filter((one) => !taken.has(one.host))
          for (const one of served) taken.add(one.host)
          claimed.set(`${bind} ${bound}`, taken)
        }
        if (served.length > 0) servers.push({ id, gateway: `${namespace}/${name}`, written: writtenAt(one, `servers[${index}]`), port: bound, bind, serverPort: port.number, protocol, hosts: served, tls: server.tls, ...(certificate === undefined ? {} : { backendCertificate: certificate }) })
      }
    }
  }
  return othersHosts(servers, servesTls)
}

/** The ports of the workload to which a Service port leads (istio.io, Gateway: server ports are those of the Service). */
function portsBehind(services: readonly MeshService[], port: number): number[] {
  const targets = services.filter((one) => one.translatesGatewayPorts).flatMap((one) => one.ports.flatMap((of) => (of.port === port && typeof of.targetPort === 'number' ? [of.targetPort] : [])))
  return [...new Set(targets)].sort((a, b) => a - b)
}

export const servesTls = (protocol: string): boolean => protocol === 'HTTPS' || protocol === 'TLS'
export const servesHttp = (protocol: string): boolean => ['HTTP', 'HTTPS', 'HTTP2', 'GRPC', 'GRPC-WEB'].includes(protocol)

function serverHost(text: string, own: string): ServerHost {
  const slash = text.indexOf('/')
  if (slash < 0) return { namespace: '*', host: text.toLowerCase() }
  const namespace = text.slice(0, slash)
  return { namespace: namespace === '.' ? own : namespace, host: text.slice(slash + 1).toLowerCase() }
}

/** The names under which a VirtualService's host is served by a server: the narrower of the two wherever one covers the other. */
export function servedDomains(server: Pick<ScopedServer, 'hosts' | 'others'>, host: string, owner: string): string[] {
  const domains = new Set<string>()
  for (const one of server.hosts) {
    if (one.namespace !== '*' && one.namespace !== owner) continue
    if (hostCovers(one.host, host)) domains.add(host)
    else if (hostCovers(host, one.host)) domains.add(one.host)
  }
  return [...domains].filter((one) => !isOthers(server, one)).sort()
}
