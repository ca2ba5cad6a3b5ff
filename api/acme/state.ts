import { ACME_STATE, secretText } from '#api/model/acme.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import type { SecretFields } from '#core/resource/secret.ts'
import { type Mesh, type ResourceKey, type Store, StoreConflict } from '#db/store.ts'

const AUTHOR = 'weft/acme'
const TRIES = 20

export const secretKey = (namespace: string, name: string): ResourceKey => ({ group: '', kind: 'Secret', namespace, name })

/** Text members of a Secret; undefined takes one away. */
export type Members = Readonly<Record<string, string | undefined>>

/** The Secret as it is stored. */
export async function readMembers(store: Store, mesh: Pick<Mesh, 'id' | 'organizationId'>, namespace: string, name: string): Promise<(SecretFields & { readonly version: string }) | undefined> {
  const stored = await store.getResource(mesh.organizationId, mesh.id, secretKey(namespace, name))
  return stored === undefined ? undefined : { ...(stored.object as ResourceObject & SecretFields), version: String(stored.revision) }
}

/**
 * Changes the state of a namespace as it is by now: `change` sees it and answers what becomes of it, or undefined to leave it; of two replicas at once neither loses what the other wrote.
 * Answers the mesh's revision, or undefined where it was left.
 */
export async function changeState(store: Store, mesh: Pick<Mesh, 'id' | 'organizationId'>, namespace: string, message: string, change: (state: SecretFields | undefined) => Members | undefined): Promise<number | undefined> {
  for (let tries = 1; ; tries++) {
    const state = await readMembers(store, mesh, namespace, ACME_STATE)
    const members = change(state)
    if (members === undefined) return undefined
    try {
      return await writeMembers(store, mesh, { namespace, name: ACME_STATE, type: 'weft.dev/acme', version: state?.version ?? '' }, { ...all(state), ...members }, message)
    } catch (error) {
      if (!(error instanceof StoreConflict) || tries >= TRIES) throw error
    }
  }
}

/** Writes a Secret whole. `version`: what it must be at; empty: not there; undefined: whatever. */
export async function writeMembers(store: Store, mesh: Pick<Mesh, 'id' | 'organizationId'>, of: { namespace: string; name: string; type: string; version: string | undefined }, members: Members, message: string): Promise<number> {
  const data = Object.fromEntries(Object.entries(members).flatMap(([name, text]) => (text === undefined ? [] : [[name, Buffer.from(text).toString('base64')]])))
  const object = { apiVersion: 'v1', kind: 'Secret', metadata: { name: of.name, namespace: of.namespace, labels: { 'app.kubernetes.io/managed-by': 'weft' } }, type: of.type, data } as unknown as ResourceObject
  const { revision } = await store.applyResources(mesh.organizationId, mesh.id, [{ key: secretKey(of.namespace, of.name), object, ...(of.version === undefined ? {} : { expectedVersion: of.version }) }], { author: AUTHOR, message })
  return revision
}

const all = (secret: SecretFields | undefined): Record<string, string | undefined> =>
  Object.fromEntries([...Object.keys(secret?.data ?? {}), ...Object.keys(secret?.stringData ?? {})].map((member) => [member, secretText(secret, member)]))
