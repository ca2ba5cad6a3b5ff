import { clusterPlace } from '#api/model/host.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { MeshService } from '#api/model/mesh-service.ts'

/** Istio's name of a cluster: `outbound|8080|v1|order-service.prod.svc.cluster.local`. */
export const outboundCluster = (port: number, subset: string, host: string): string => `outbound|${port}|${subset}|${host}`

/** The same as a server name, which an east-west gateway routes by: `outbound_.8080_.v1_.order-service.prod.svc.cluster.local`. */
export const clusterSni = (port: number, subset: string, host: string): string => `outbound_.${port}_.${subset}_.${host}`

export const inboundCluster = (port: number): string => `inbound|${port}||`

/** The RouteConfiguration of one service and port; sidecars and gateways of any kind lead to it. */
export const outboundRoutes = (port: number, host: string): string => `outbound|${port}||${host}`

/** Name and key of a scope: unique by construction, for two scopes with one key are refused. */
export const scopeName = (port: string, host: string): string => `${port}|${host}`

/** What an object is called in Istio's metadata: `/apis/networking.istio.io/v1/namespaces/prod/virtual-service/order-service`. */
export const configPath = (group: string, kind: string, namespace: string, name: string): string => `/apis/${group}/v1/namespaces/${namespace}/${kind}/${name}`

/** The names by which callers in a namespace may address a service: its host, the same with the dot that ends an absolute name, and short ones where the host is one of the cluster's. */
export function hostNames(reader: MeshReader, service: MeshService, client: string): string[] {
  const absolute = [service.host, `${service.host}.`]
  const place = clusterPlace(service.host)
  if (place === undefined) return absolute
  const { name, namespace } = place
  // A ServiceEntry may bear a host of another namespace than its own.
  reader.named.add(namespace)
  const names = [...absolute, `${name}.${namespace}.svc`, `${name}.${namespace}`]
  return namespace === client ? [...names, name] : names
}
