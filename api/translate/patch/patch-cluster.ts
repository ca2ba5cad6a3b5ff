import type { Cluster } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { mergeMessage, parseMessage } from './merge.ts'
import { listsOf } from './patch-listener.ts'
import { inContext } from './patches.ts'
import type { PatchedProxy, ScopedPatch } from './patches.ts'

/**
 * A cluster by one patch; undefined: removed.
 * @throws when the value is no cluster
 */
export function patchCluster(cluster: Cluster, patch: ScopedPatch, proxy: PatchedProxy): Cluster | undefined {
  const inbound = cluster.name.startsWith('inbound|') || cluster.name.startsWith('Inbound')
  if (patch.applyTo !== 'CLUSTER' || !inContext(patch, proxy.type === 'router' ? 'GATEWAY' : inbound ? 'SIDECAR_INBOUND' : 'SIDECAR_OUTBOUND') || !isMeant(cluster.name, patch)) return cluster
  switch (patch.operation) {
    case 'REMOVE':
      return undefined
    case 'MERGE':
    case 'MERGE_AND_REPLACE_LIST':
      return mergeMessage(ClusterSchema, cluster, patch.value, listsOf(patch))
    case 'REPLACE':
      return { ...parseMessage(ClusterSchema, patch.value), name: cluster.name }
    default:
      return cluster
  }
}

function isMeant(name: string, patch: ScopedPatch): boolean {
  const match = patch.match.cluster
  if (match === undefined) return true
  if (match.name) return match.name === name
  // outbound|8080|v1|order-service.prod.svc.cluster.local
  const [, port, subset, host] = name.split('|')
  if (match.portNumber && port !== String(match.portNumber)) return false
  if (match.subset && subset !== match.subset) return false
  return !match.service || match.service === '*' || host === match.service
}

/** Why Envoy would refuse a cluster; undefined as far as can be told from here. */
export const clusterComplaint = (cluster: Cluster): string | undefined => (cluster.name === '' ? 'a cluster with a name' : undefined)
