import { type WeightedCluster as WireClusters, WeightedCluster_ClusterWeightSchema, WeightedClusterSchema } from '../wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { weighted } from '../route/split.ts'
import type { Origin } from './origin.ts'
import type { WeightedCluster, WeightedClusters } from './route.ts'
import { at, type Reading } from './read.ts'
import { readHeaderOperations } from './read-headers.ts'
import { originOf } from './read-origin.ts'

export function singleCluster(cluster: string, origin: Origin | undefined): WeightedClusters {
  return weighted([{ cluster, weight: 1, origin, hostRewrite: undefined, requestHeaders: undefined, responseHeaders: undefined }])
}

/** A route's weighted clusters. `total_weight` is only a check in Envoy; Weft sums by itself. */
export function readWeightedClusters(reading: Reading, path: string, wire: WireClusters, origin: Origin | undefined): WeightedClusters {
  reading.only(path, WeightedClusterSchema, wire, ['clusters', 'total_weight', 'runtime_key_prefix'])
  const entries = wire.clusters.map((one, index): WeightedCluster => {
    const where = at(path, 'clusters', index)
    reading.only(where, WeightedCluster_ClusterWeightSchema, one, [
      'name', 'weight', 'request_headers_to_add', 'request_headers_to_remove', 'response_headers_to_add', 'response_headers_to_remove', 'metadata_match', 'host_rewrite_literal',
    ])
    // Only key envoy.lb chooses among endpoints; others are notes, and ours is where the entry comes from.
    if (one.metadataMatch?.filterMetadata['envoy.lb'] !== undefined) reading.unsupported(at(where, 'metadata_match.filter_metadata[envoy.lb]'), 'is not supported')
    const host = one.hostRewriteSpecifier.value ?? ''
    if (one.name === '') reading.invalid(at(where, 'name'), 'is missing')
    return {
      cluster: one.name,
      weight: one.weight ?? 0,
      origin: originOf(one.metadataMatch) ?? origin,
      hostRewrite: host === '' ? undefined : host,
      requestHeaders: readHeaderOperations(reading, where, 'request', one.requestHeadersToAdd, one.requestHeadersToRemove),
      responseHeaders: readHeaderOperations(reading, where, 'response', one.responseHeadersToAdd, one.responseHeadersToRemove),
    }
  })
  return checkedWeights(reading, path, entries)
}

/** Envoy refuses weights that sum to 0, and so does Weft. */
export function checkedWeights(reading: Reading, path: string, entries: readonly WeightedCluster[]): WeightedClusters {
  const clusters = weighted(entries)
  if (clusters.total <= 0) reading.invalid(path, 'the weights sum to 0')
  return clusters
}
