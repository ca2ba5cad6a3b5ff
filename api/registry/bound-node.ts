import type { WorkloadEntrySpec } from '#core/resource/workload-entry.ts'
import type { WorkloadGroupSpec } from '#core/resource/workload-group.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { MeshModel } from '../model/mesh-model.ts'

type Labels = Readonly<Record<string, string>>

/**
 * A node with the labels that the mesh gives its service account, over those that it says of itself: a WorkloadEntry of the account at its address, else a WorkloadGroup of the account.
 * Of several groups the one whose labels it comes nearest to, so that it chooses among what its account may be and nothing else. What no object speaks of stays its own word.
 */
export function boundNode(model: MeshModel, node: ProxyNode): ProxyNode {
  const entry = `${node.namespace}/${node.serviceAccount}`
  const groups: Labels[] = []
  for (const id of model.filed('account', entry)) {
    const stored = model.object(id)
    if (stored?.key.kind === 'WorkloadEntry') {
      const { address, network = '', labels = {} } = stored.object.spec as WorkloadEntrySpec
      if (address === node.address && network === node.network) return withLabels(node, { ...stored.object.metadata.labels, ...labels })
    } else if (stored?.key.kind === 'WorkloadGroup') {
      const { metadata, template } = stored.object.spec as WorkloadGroupSpec
      groups.push({ ...metadata?.labels, ...template.labels })
    }
  }
  let nearest: Labels | undefined
  for (const labels of groups) if (nearest === undefined || agreement(labels, node) > agreement(nearest, node)) nearest = labels
  return nearest === undefined ? node : withLabels(node, nearest)
}

/** How many of these labels the node says itself, as a share. */
function agreement(labels: Labels, node: ProxyNode): number {
  const pairs = Object.entries(labels)
  return pairs.length === 0 ? 0 : pairs.filter(([key, value]) => node.labels[key] === value).length / pairs.length
}

const withLabels = (node: ProxyNode, labels: Labels): ProxyNode => ({ ...node, labels: { ...node.labels, ...labels } })
