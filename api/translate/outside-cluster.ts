import { create } from '@bufbuild/protobuf'
import type { Resource } from '#api/serve/resource.ts'
import { Cluster_DiscoveryType, Cluster_DnsLookupFamily, ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { duration, socketAddress } from './message.ts'
import { resourceOf } from './resource.ts'
import { originatedSocket } from './tls.ts'

/** A server outside the mesh that proxies fetch something from, by its URL. */
export interface OutsideServer {
  readonly host: string
  readonly port: number
  readonly tls: boolean
}

/** @throws TypeError when it is no URL */
export function outsideServer(url: string): OutsideServer {
  const { hostname, port, protocol } = new URL(url)
  const tls = protocol === 'https:'
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port === '' ? (tls ? 443 : 80) : Number(port), tls }
}

/** `jwks|443|tls|id.example.com`: what is fetched, and where. */
export const outsideClusterName = (what: string, { host, port, tls }: OutsideServer): string => `${what}|${port}|${tls ? 'tls' : 'plain'}|${host}`

/** Its cluster: by name or address, over TLS with the system's authorities. */
export function outsideCluster(name: string, { host, port, tls }: OutsideServer, origins: readonly string[]): Resource {
  const isAddress = /^[\d.]+$/.test(host) || host.includes(':')
  const message = create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: 'type', value: isAddress ? Cluster_DiscoveryType.STATIC : Cluster_DiscoveryType.STRICT_DNS },
    dnsLookupFamily: Cluster_DnsLookupFamily.V4_PREFERRED,
    connectTimeout: duration(5_000),
    loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address: socketAddress(host, port) } } }] }] },
  })
  if (tls) message.transportSocket = originatedSocket({ sni: isAddress ? '' : host, sans: isAddress ? [] : [host], http2: false, certificate: undefined, trust: undefined, verify: true })
  return resourceOf(ClusterSchema, name, message, origins)
}
