import { description, descriptionQuery } from '#core/contract/description.ts'
import type { Description } from '#core/contract/description.ts'
import { fault, Faults } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import { objectName } from '#core/resource/object.ts'
import { parseObject } from '#core/resource/parse.ts'
import { kindByName } from '#core/resource/registry.ts'
import { inertFields } from '#core/resource/support.ts'
import type { Mesh, StoredResource } from '#db/store.ts'
import { permitNamespace } from '../access/check.ts'
import { present } from '../kube/present.ts'
import { findStored } from '../kube/read.ts'
import { objectId } from '../model/mesh-model.ts'
import type { ApiDoors } from './doors.ts'
import { MESH, meshTarget } from './meshes.ts'
import type { Route } from './route.ts'

export const descriptionRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: `${MESH}/description`,
    summary: 'One object with its conditions, what is found wrong with it now, its last change, and the proxies that carry it.',
    query: descriptionQuery,
    answers: { status: 200, schema: description },
    async handle(request) {
      const target = await meshTarget(request, 'read', 'any')
      const { actor, mesh } = target
      const { group = '', kind: called, namespace, name } = request.query(descriptionQuery)
      permitNamespace(actor, namespace)
      const kind = kindByName(group, called)
      const stored = kind === undefined ? undefined : await findStored({ doors: request.doors, target, kind, namespace, name })
      if (kind === undefined || stored === undefined) throw new Faults([fault('object.not-found', { path: '', value: `${called}/${namespace === undefined ? '' : `${namespace}/`}${name}`, rule: 'there is no such object' })])
      const { items } = await request.doors.store.history(mesh.organizationId, mesh.id, { key: stored.key }, { limit: 1 })
      const carriers = request.doors.carriers(mesh.id, objectId(stored.key))
      return {
        json: {
          object: present(request.doors, mesh, kind, stored),
          findings: await findingsOf(request.doors, mesh, stored),
          lastChange: items.map(({ revision, operation, author, message, atMs }) => ({ revision, operation, author, message, at: new Date(atMs).toISOString() }))[0] ?? null,
          // A key of some namespaces hears of the proxies in them.
          carriers: carriers.filter(({ proxy }) => actor.namespaces === null || actor.namespaces.includes(proxy.slice(proxy.lastIndexOf('.') + 1))),
        } satisfies Description,
      }
    },
  },
]

/** As if it were written anew, and what keeps it from the proxies. */
async function findingsOf(doors: ApiDoors, mesh: Mesh, { key, object }: StoredResource): Promise<Fault[]> {
  const parsed = parseObject(object)
  const about = objectName(object)
  const beside = await doors.admit(mesh, [{ key, object }])
  const kept = doors.faults(mesh.id).filter((one) => one.object === objectId(key)).flatMap((one) => one.faults)
  const all = [...parsed.faults, ...(parsed.object === undefined ? [] : inertFields(parsed.kind, parsed.object)), ...beside, ...kept].map((one) => ({ ...one, resource: one.resource ?? about }))
  return [...new Map(all.map((one) => [JSON.stringify([one.code, one.path, one.value, one.rule]), one])).values()]
}
