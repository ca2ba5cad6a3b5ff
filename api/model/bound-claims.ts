import type { WorkloadEntrySpec } from '#core/resource/workload-entry.ts'
import type { WorkloadGroupSpec } from '#core/resource/workload-group.ts'
import type { Labels } from './labels.ts'
import type { MeshModel } from './mesh-model.ts'

/** What a workload says of itself, beside the account that it proves. */
interface Claims {
  readonly namespace: string
  readonly serviceAccount: string
  readonly address: string
  readonly network: string
  readonly locality: string
  readonly labels: Labels
  readonly portsByName?: Readonly<Record<string, number>>
  readonly weight?: number
}

/**
 * A node or a workload with the labels that the mesh gives its service account, over those that it says of itself: a WorkloadEntry of the account at its address, else a WorkloadGroup of the account.
 * Of several groups the one whose labels it comes nearest to, so that it chooses among what its account may be and nothing else. What no object speaks of stays its own word;
 * a group's network and locality are for those that name none.
 */
export function bound<T extends Claims>(model: MeshModel, claims: T): T {
  const groups: { labels: Labels; template: WorkloadGroupSpec['template'] }[] = []
  for (const id of model.filed('account', `${claims.namespace}/${claims.serviceAccount}`)) {
    const stored = model.object(id)
    if (stored?.key.kind === 'WorkloadEntry') {
      const { address, network = '', labels = {} } = stored.object.spec as WorkloadEntrySpec
      if (address === claims.address && network === claims.network) return { ...claims, labels: { ...claims.labels, ...stored.object.metadata.labels, ...labels } }
    } else if (stored?.key.kind === 'WorkloadGroup') {
      const { metadata, template } = stored.object.spec as WorkloadGroupSpec
      groups.push({ labels: { ...metadata?.labels, ...template.labels }, template })
    }
  }
  let nearest: (typeof groups)[number] | undefined
  for (const one of groups) if (nearest === undefined || agreement(one.labels, claims) > agreement(nearest.labels, claims)) nearest = one
  if (nearest === undefined) return claims
  const { labels, template } = nearest
  return {
    ...claims,
    labels: { ...claims.labels, ...labels },
    network: claims.network || (template.network ?? ''),
    locality: claims.locality || (template.locality ?? ''),
    ...(template.ports === undefined ? {} : { portsByName: template.ports }),
    ...(template.weight ? { weight: template.weight } : {}),
  }
}

/** How many of these labels it says itself, as a share. */
function agreement(labels: Labels, claims: Claims): number {
  const pairs = Object.entries(labels)
  return pairs.length === 0 ? 0 : pairs.filter(([key, value]) => claims.labels[key] === value).length / pairs.length
}
