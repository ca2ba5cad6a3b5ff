import type { Mesh, ResourceKey, Store, StoredResource } from '#db/store.ts'

/** Namespaces that exist in every mesh, written or not. */
export const BUILT_IN_NAMESPACES: readonly string[] = ['default', 'istio-system']

export const namespaceKey = (name: string): ResourceKey => ({ group: '', kind: 'Namespace', namespace: '', name })

/** A built-in namespace as it is before anyone writes it. */
export function builtInNamespace(mesh: Mesh, name: string): StoredResource {
  return {
    key: namespaceKey(name),
    uid: `00000000-0000-4000-8000-${Buffer.from(name).toString('hex').slice(0, 12).padEnd(12, '0')}`,
    revision: 0,
    generation: 1,
    createdAtMs: mesh.createdAtMs,
    object: { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { 'kubernetes.io/metadata.name': name } } },
  }
}

/** The names, of `wanted`, that are no namespace of the mesh. `isThere`: what is known without asking the store. */
export async function missingNamespaces(store: Store, mesh: Mesh, wanted: ReadonlySet<string>, isThere: (name: string) => boolean = () => false): Promise<Set<string>> {
  const missing = new Set<string>()
  for (const name of wanted) {
    if (BUILT_IN_NAMESPACES.includes(name) || isThere(name)) continue
    if ((await store.getResource(mesh.organizationId, mesh.id, namespaceKey(name))) === undefined) missing.add(name)
  }
  return missing
}
