import { type TcpProxy, TcpProxy_WeightedCluster_ClusterWeightSchema, TcpProxySchema } from '../wire/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts'
import type { TcpPlan } from './listener.ts'
import type { WeightedClusters } from './route.ts'
import { at, type Reading } from './read.ts'
import { readAccessLogs } from './read-access-log.ts'
import { checkedWeights, singleCluster } from './read-clusters.ts'
import { milliseconds } from './read-value.ts'

/** TcpProxy → TcpPlan. */
export function readTcp(reading: Reading, path: string, proxy: TcpProxy): TcpPlan {
  reading.only(path, TcpProxySchema, proxy, ['stat_prefix', 'cluster', 'weighted_clusters', 'idle_timeout', 'access_log', 'max_connect_attempts'])
  if ((proxy.maxConnectAttempts ?? 1) > 1) reading.unsupported(at(path, 'max_connect_attempts'), 'only 1 is supported', proxy.maxConnectAttempts)
  return {
    kind: 'tcp',
    clusters: readClusters(reading, path, proxy),
    idleTimeoutMs: milliseconds(proxy.idleTimeout, 3_600_000),
    accessLog: readAccessLogs(reading, path, proxy.accessLog),
  }
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
