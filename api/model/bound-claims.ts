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
  const given = givenTo(model, claims, claims)
  if (given === undefined) return claims
  if (given.of === 'entry') return { ...claims, labels: { ...claims.labels, ...given.labels } }
  const { template } = given.group
  return {
    ...claims,
    labels: { ...claims.labels, ...given.labels },
    network: claims.network || (template.network ?? ''),
    locality: claims.locality || (template.locality ?? ''),
    ...(template.ports === undefined ? {} : { portsByName: template.ports }),
    ...(template.weight ? { weight: template.weight } : {}),
  }
}

/** The WorkloadGroup of its account that a workload comes nearest to, whether or not a WorkloadEntry speaks of it as well. */
export function groupOf(model: MeshModel, claims: Pick<Claims, 'namespace' | 'serviceAccount' | 'labels'>): WorkloadGroupSpec | undefined {
  const given = givenTo(model, claims)
  return given?.of === 'group' ? given.group : undefined
}

type Given = { readonly of: 'entry'; readonly labels: Labels } | { readonly of: 'group'; readonly labels: Labels; readonly group: WorkloadGroupSpec }

/** `place`: where a WorkloadEntry may be found that speaks of it. */
function givenTo(model: MeshModel, claims: Pick<Claims, 'namespace' | 'serviceAccount' | 'labels'>, place?: Pick<Claims, 'address' | 'network'>): Given | undefined {
  let nearest: Given | undefined
  for (const id of model.filed('account', `${claims.namespace}/${claims.serviceAccount}`)) {
    const stored = model.object(id)
    if (stored?.key.kind === 'WorkloadEntry') {
      const { address, network = '', labels = {} } = stored.object.spec as WorkloadEntrySpec
      if (place !== undefined && address === place.address && network === place.network) return { of: 'entry', labels: { ...stored.object.metadata.labels, ...labels } }
    } else if (stored?.key.kind === 'WorkloadGroup') {
      const group = stored.object.spec as WorkloadGroupSpec
      const labels = { ...group.metadata?.labels, ...group.template.labels }
      if (nearest === undefined || agreement(labels, claims) > agreement(nearest.labels, claims)) nearest = { of: 'group', labels, group }
    }
  }
  return nearest
}

/** How many of these labels it says itself, as a share. */
function agreement(labels: Labels, claims: Pick<Claims, 'labels'>): number {
  const pairs = Object.entries(labels)
  return pairs.length === 0 ? 0 : pairs.filter(([key, value]) => claims.labels[key] === value).length / pairs.length
}
