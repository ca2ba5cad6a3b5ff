import type { Labels } from '#api/model/labels.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Resource } from '#api/serve/resource.ts'
import { accessFor } from './access.ts'
import { clusterResource, clusterScopes } from './cluster.ts'
import { endpointResource, endpointScopes } from './endpoint.ts'
import { keyClusters } from './request-authentication.ts'

/** A workload as far as the services that its policies ask depend on it. */
export interface AskingWorkload {
  readonly namespace: string
  readonly labels: Labels
  readonly captured: boolean
  /** Its locality, where a Sidecar scopes what it may call; undefined: it has the clusters of all services anyway. */
  readonly scopedIn: string | undefined
}

/** The clusters that the filters of a workload's policies call: issuers outside the mesh, and authorizers and issuers in it that no Sidecar may hide from them. */
export function accessClusters(reader: MeshReader, workload: AskingWorkload): Resource[] {
  const { namespace, labels, captured, scopedIn } = workload
  const { issuers, authorizers, origins } = accessFor(reader, namespace, labels)
  const outside = keyClusters(issuers, origins)
  if (scopedIn === undefined) return outside
  const named = new Set([...[...authorizers.values()].map((one) => one.cluster), ...issuers.flatMap((one) => (one.keys === undefined || one.keys.outside !== undefined ? [] : [one.keys.cluster]))])
  const hosts = new Set([...named].map((one) => one.slice(one.lastIndexOf('|') + 1)))
  const inside = [...hosts].flatMap((host) => [...clusterScopes(reader, namespace, host, captured).map(clusterResource), ...endpointScopes(reader, { namespace, locality: scopedIn }, host).map(endpointResource)])
  return [...outside, ...inside.filter((one) => named.has(one.name))]
}
