import { Faults, fault } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import type { ApiKey, Mesh, MeshNames, Organization, Role, Store } from '#db/store.ts'
import type { Actor } from './actor.ts'
import { hashCredential } from './credential.ts'

/** `read`: look at everything but credentials. `write`: change configuration. `admin`: meshes, keys, join tokens, settings. */
export type Verb = 'read' | 'write' | 'admin'

const VERBS: Readonly<Record<Role, ReadonlySet<Verb>>> = {
  viewer: new Set<Verb>(['read']),
  editor: new Set<Verb>(['read', 'write']),
  owner: new Set<Verb>(['read', 'write', 'admin']),
}

/** The secret of an `Authorization` header of scheme Bearer (RFC 6750 §2.1). */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1]
}

/**
 * Who holds this secret.
 * @throws Faults 'access.unauthenticated' (401) when it is missing, no API key, unknown, deleted or expired: which of these, a stranger is not told
 */
export async function authenticate(store: Store, bearer: string | undefined): Promise<Actor> {
  const hash = bearer === undefined ? undefined : hashCredential('key', bearer)
  const key = hash === undefined ? undefined : await store.apiKeyByHash(hash)
  if (!key) throw unauthenticated()
  return actorOf(key)
}

/** The same, and what these names lead to from the key's organization. @throws as `authenticate` */
export async function authenticateFor(store: Store, bearer: string | undefined, names: MeshNames): Promise<{ readonly actor: Actor; readonly found: FoundMesh | undefined }> {
  const hash = bearer === undefined ? undefined : hashCredential('key', bearer)
  const known = hash === undefined ? undefined : await store.keyWithMesh(hash, names)
  if (!known) throw unauthenticated()
  return { actor: actorOf(known.key), found: known.found }
}

/** A mesh and whose it is. */
export interface FoundMesh {
  readonly organization: Organization
  readonly mesh: Mesh
}

const actorOf = (key: ApiKey): Actor => ({ kind: 'key', organizationId: key.organizationId, role: key.role, meshId: key.meshId, namespaces: key.namespaces, id: key.id, memberId: key.memberId, name: key.name })

export const unauthenticated = (): Faults => new Faults([fault('access.unauthenticated', { path: '', rule: 'a valid API key is required', hint: 'send Authorization: Bearer weft_key_…' })])

/** Whether the actor may know that this mesh exists. */
export const sees = (actor: Actor, mesh: { readonly id: string; readonly organizationId: string }): boolean =>
  mesh.organizationId === actor.organizationId && (actor.meshId === null || actor.meshId === mesh.id)

/**
 * Lets an actor pass who may do this: to the given mesh, or, without one, to the organization itself (its meshes, keys and members). A key bound to a mesh may do nothing to the organization.
 * @throws Faults 'object.not-found' (404) for a mesh that the actor may not see, word for word as for one that is not there; 'access.forbidden' (403) for what it may see and not do
 */
export function permit(actor: Actor, verb: Verb, mesh?: { readonly id: string; readonly organizationId: string }): void {
  if (mesh && !sees(actor, mesh)) throw meshNotFound()
  if (!mesh && actor.meshId !== null)
    throw new Faults([fault('access.forbidden', { path: '', rule: 'a key that is bound to one mesh cannot act on the organization', hint: 'use a key of the whole organization' })])
  if (!mesh && actor.namespaces !== null)
    throw new Faults([fault('access.forbidden', { path: '', rule: 'a key that is bound to namespaces cannot act on the organization', hint: 'use a key of the whole organization' })])
  if (actor.namespaces !== null && verb === 'admin') throw new Faults([fault('access.forbidden', { path: '', rule: 'a key that is bound to namespaces cannot administer a mesh' })])
  if (!VERBS[actor.role].has(verb))
    throw new Faults([fault('access.forbidden', { path: '', rule: `the role ${actor.role} does not allow ${verb}`, hint: 'ask an owner of the organization for a key that does' })])
}

/** A mesh that is not there and one that may not be seen are answered with this, so that nobody can tell them apart. */
export const meshNotFound = (): Faults => new Faults([fault('object.not-found', { path: '', rule: 'there is no such mesh', hint: 'weft mesh list shows those that your key may see' })])

/**
 * Lets an actor pass who may touch this namespace; undefined stands for the whole mesh.
 * @throws Faults 'access.forbidden' (403) whether the namespace is there or not: a key learns nothing of those that are not its own
 */
export function permitNamespace(actor: Actor, namespace: string | undefined): void {
  const allowed = namespaceFault(actor, namespace)
  if (allowed !== undefined) throw new Faults([allowed])
}

export function namespaceFault(actor: Pick<Actor, 'namespaces'>, namespace: string | undefined): Fault | undefined {
  if (actor.namespaces === null || (namespace !== undefined && actor.namespaces.includes(namespace))) return undefined
  return fault('access.forbidden', { path: 'metadata.namespace', ...(namespace ? { value: namespace } : {}), rule: `one of the key’s namespaces: ${actor.namespaces.join(', ')}` })
}
