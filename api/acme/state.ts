import { ACME_STATE, secretText } from '#api/model/acme.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import type { SecretFields } from '#core/resource/secret.ts'
import { type Mesh, type ResourceKey, type ResourceWrite, type Store, StoreConflict } from '#db/store.ts'

const AUTHOR = 'weft/acme'
const TRIES = 20

export const secretKey = (namespace: string, name: string): ResourceKey => ({ group: '', kind: 'Secret', namespace, name })

/** Text members of a Secret; undefined takes one away. */
export type Members = Readonly<Record<string, string | undefined>>

/** A Secret as it is stored. */
export type StoredSecret = ResourceObject & SecretFields & { readonly version: string }

export async function readMembers(store: Store, mesh: Pick<Mesh, 'id' | 'organizationId'>, namespace: string, name: string): Promise<StoredSecret | undefined> {
  const stored = await store.getResource(mesh.organizationId, mesh.id, secretKey(namespace, name))
  return stored === undefined ? undefined : { ...(stored.object as ResourceObject & SecretFields), version: String(stored.revision) }
}

/**
 * Changes the state of a namespace as it is by now: `change` sees it and answers what becomes of it, or undefined to leave it; of two replicas at once neither loses what the other wrote.
 * Answers the mesh's revision, or undefined where it was left. `beside`: what is written with it, or neither is.
 * @throws StoreConflict when what is beside has changed meanwhile
 */
export async function changeState(store: Store, mesh: Pick<Mesh, 'id' | 'organizationId'>, namespace: string, message: string, change: (state: SecretFields | undefined) => Members | undefined, beside?: ResourceWrite): Promise<number | undefined> {
  for (let tries = 1; ; tries++) {
    const state = await readMembers(store, mesh, namespace, ACME_STATE)
    const members = change(state)
    if (members === undefined) return undefined
    const metadata = { name: ACME_STATE, namespace, labels: { 'app.kubernetes.io/managed-by': 'weft' } }
    const object = { apiVersion: 'v1', kind: 'Secret', metadata, type: 'weft.dev/acme', data: encoded({ ...membersOf(state), ...members }) } as ResourceObject
    const writes = [{ key: secretKey(namespace, ACME_STATE), object, expectedVersion: state?.version ?? '' }, ...(beside === undefined ? [] : [beside])]
    try {
      return (await store.applyResources(mesh.organizationId, mesh.id, writes, { author: AUTHOR, message })).revision
    } catch (error) {
      if (!(error instanceof StoreConflict) || tries >= TRIES || (beside !== undefined && !(await isAsExpected(store, mesh, beside)))) throw error
    }
  }
}

async function isAsExpected(store: Store, mesh: Pick<Mesh, 'id' | 'organizationId'>, { key, expectedVersion }: ResourceWrite): Promise<boolean> {
  const now = await store.getResource(mesh.organizationId, mesh.id, key)
  return (now === undefined ? '' : String(now.revision)) === expectedVersion
}

/** A Secret's members as text. */
export const membersOf = (secret: SecretFields | undefined): Members =>
  Object.fromEntries([...Object.keys(secret?.data ?? {}), ...Object.keys(secret?.stringData ?? {})].map((member) => [member, secretText(secret, member)]))

/** Members as a Secret holds them; undefined ones are not there. */
export const encoded = (members: Members): Record<string, string> =>
  Object.fromEntries(Object.entries(members).flatMap(([name, text]) => (text === undefined ? [] : [[name, Buffer.from(text).toString('base64')]])))
