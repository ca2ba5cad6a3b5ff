import { type TcpProxy, type TcpProxy_TunnelingConfig, TcpProxy_TunnelingConfigSchema, TcpProxy_WeightedCluster_ClusterWeightSchema, TcpProxySchema } from '../wire/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts'
import type { TcpPlan } from './listener.ts'
import type { WeightedClusters } from './route.ts'
import { at, type Reading } from './read.ts'
import { readAccessLogs } from './read-access-log.ts'
import { checkedWeights, singleCluster } from './read-clusters.ts'
import { milliseconds } from './read-value.ts'

/** TcpProxy → TcpPlan. `clusterBySni`: a filter before it chooses the cluster. */
export function readTcp(reading: Reading, path: string, proxy: TcpProxy, clusterBySni: boolean): TcpPlan {
  reading.only(path, TcpProxySchema, proxy, ['stat_prefix', 'cluster', 'weighted_clusters', 'idle_timeout', 'access_log', 'max_connect_attempts', 'hash_policy', 'tunneling_config', 'max_downstream_connection_duration'])
  if ((proxy.maxConnectAttempts ?? 1) > 1) reading.unsupported(at(path, 'max_connect_attempts'), 'only 1 is supported', proxy.maxConnectAttempts)
  return {
    kind: 'tcp',
    clusters: readClusters(reading, path, proxy),
    idleTimeoutMs: milliseconds(proxy.idleTimeout, 3_600_000),
    ...(clusterBySni ? { clusterBySni } : {}),
    ...(readHash(reading, path, proxy) ? { hashesSource: true } : {}),
    ...(proxy.maxDownstreamConnectionDuration === undefined ? {} : { lifetimeMaxMs: milliseconds(proxy.maxDownstreamConnectionDuration, 0) }),
    ...readTunnel(reading, at(path, 'tunneling_config'), proxy.tunnelingConfig),
    accessLog: readAccessLogs(reading, path, proxy.accessLog),
  }
}

function readHash(reading: Reading, path: string, proxy: TcpProxy): boolean {
  for (const [index, { policySpecifier: by }] of proxy.hashPolicy.entries()) {
    if (by.case === 'sourceIp') return true
    reading.unsupported(at(path, 'hash_policy', index), 'only source_ip is supported', by.case)
  }
  return false
}

function readTunnel(reading: Reading, path: string, tunnel: TcpProxy_TunnelingConfig | undefined): Pick<TcpPlan, 'tunnelTo' | 'tunnelByPost'> {
  if (tunnel === undefined) return {}
  reading.only(path, TcpProxy_TunnelingConfigSchema, tunnel, ['hostname', 'use_post'])
  if (!/^[^\s%]+:\d{1,5}$/.test(tunnel.hostname)) reading.unsupported(at(path, 'hostname'), 'only HOST:PORT is supported', tunnel.hostname)
  return { tunnelTo: tunnel.hostname, ...(tunnel.usePost && { tunnelByPost: true }) }
}

function readClusters(reading: Reading, path: string, proxy: TcpProxy): WeightedClusters {
  const by = proxy.clusterSpecifier
  if (by.case !== 'weightedClusters') {
    if (by.value === undefined || by.value === '') reading.invalid(path, 'leads to no cluster')
    return singleCluster(by.value ?? '', undefined)
  }
  const where = at(path, 'weighted_clusters')
  const entries = by.value.clusters.map((one, index) => {
    reading.only(at(where, 'clusters', index), TcpProxy_WeightedCluster_ClusterWeightSchema, one, ['name', 'weight'])
    if (one.name === '') reading.invalid(at(at(where, 'clusters', index), 'name'), 'is missing')
    return { cluster: one.name, weight: one.weight, origin: undefined, hostRewrite: undefined, requestHeaders: undefined, responseHeaders: undefined }
  })
  return checkedWeights(reading, where, entries)
}
