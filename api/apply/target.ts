import type { Mesh, MeshNames, Organization, Store } from '#db/store.ts'
import type { Actor } from '../access/actor.ts'
import { bearerOf, meshNotFound, permit, sees } from '../access/check.ts'
import type { FoundMesh, Verb } from '../access/check.ts'

/** The mesh that a request is for, and who asks: proven, and allowed. */
export interface Target {
  readonly actor: Actor
  readonly organization: Organization
  readonly mesh: Mesh
}

/**
 * @param seen told once the actor may know of the mesh, allowed or not: a refusal is filed with its mesh
 * @throws Faults 404 for what the key may not see, 403 for what it may not do
 */
export async function targetOf(store: Store, actor: Actor, names: MeshNames, verb: Verb, seen?: (target: Target) => void): Promise<Target> {
  return targetAt(actor, await store.meshNamed(actor.organizationId, names), verb, seen)
}

/** The same for what was found already. */
export function targetAt(actor: Actor, found: FoundMesh | undefined, verb: Verb, seen?: (target: Target) => void): Target {
  if (found === undefined) throw meshNotFound()
  const { organization, mesh } = found
  const target = { actor, organization, mesh }
  if (sees(actor, mesh)) seen?.(target)
  permit(actor, verb, mesh)
  return target
}

/**
 * The API key of an `Authorization` header: a bearer token, or the password of basic authentication with any user (RFC 7617).
 * kubectl sends no bearer token over plain HTTP, but takes user and password from the server's URL; a loopback kubeconfig is made so.
 */
export function credentialOf(authorization: string | undefined): string | undefined {
  const basic = /^basic +([A-Za-z0-9+/_-]+={0,2}) *$/i.exec(authorization ?? '')?.[1]
  if (basic === undefined) return bearerOf(authorization)
  const pair = Buffer.from(basic, 'base64').toString('utf8')
  return pair.slice(pair.indexOf(':') + 1)
}
