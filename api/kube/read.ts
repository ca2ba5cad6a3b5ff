import type { ResourceObject } from '#core/resource/object.ts'
import { apiVersionOf } from '#core/resource/registry.ts'
import type { ResourceFilter, StoredResource } from '#db/store.ts'
import { BUILT_IN_NAMESPACES, builtInNamespace } from '../apply/namespaces.ts'
import { present } from './present.ts'
import type { ObjectsRequest } from './request.ts'
import { readSelection } from './selector.ts'
import type { Selection } from './selector.ts'

const PAGE_MAX = 500

/** The stored object, or a namespace that every mesh has. */
export async function findStored({ doors, target, kind, namespace, name }: Pick<ObjectsRequest, 'doors' | 'target' | 'kind' | 'namespace' | 'name'>): Promise<StoredResource | undefined> {
  const { mesh } = target
  const stored = await doors.store.getResource(mesh.organizationId, mesh.id, { group: kind.group, kind: kind.kind, namespace: kind.namespaced ? (namespace ?? '') : '', name })
  if (stored !== undefined) return stored
  return kind.group === '' && kind.kind === 'Namespace' && BUILT_IN_NAMESPACES.includes(name) ? builtInNamespace(mesh, name) : undefined
}

export interface ObjectList {
  readonly items: readonly ResourceObject[]
  readonly revision: number
  readonly continue: string | undefined
}

export const selectionOf = (request: Pick<ObjectsRequest, 'query'>): Selection => readSelection(request.query('labelSelector'), request.query('fieldSelector'))

export function filterOf(request: ObjectsRequest, selection: Selection): ResourceFilter {
  const namespace = request.namespace ?? (request.kind.namespaced ? selection.namespace : undefined)
  return {
    group: request.kind.group,
    kind: request.kind.kind,
    ...(namespace === undefined ? {} : { namespace }),
    ...(selection.name === undefined ? {} : { name: selection.name }),
    ...(Object.keys(selection.labels).length > 0 ? { labels: selection.labels } : {}),
  }
}

/** Objects that the request selects: all of them, or a page of `limit`. The revision is that of the first page read, so that a watch from there misses nothing. */
export async function listObjects(request: ObjectsRequest): Promise<ObjectList> {
  const { doors, target, kind, version } = request
  const { mesh } = target
  const selection = selectionOf(request)
  const filter = filterOf(request, selection)
  const limit = Math.max(0, Math.floor(Number(request.query('limit') ?? 0)) || 0)
  const items: ResourceObject[] = []
  let cursor = request.query('continue') || undefined
  let revision: number | undefined
  const began = cursor === undefined
  const names = new Set<string>()
  const full = (): boolean => limit !== 0 && items.length >= limit
  do {
    const wanted = limit === 0 ? PAGE_MAX : Math.min(PAGE_MAX, limit - items.length)
    const page = await doors.store.listResources(mesh.organizationId, mesh.id, filter, { limit: wanted, ...(cursor === undefined ? {} : { cursor }) })
    revision ??= page.revision
    for (const stored of page.items) {
      names.add(stored.key.name)
      const object = present(doors, mesh, kind, stored, version)
      if (selection.matches(object)) items.push(object)
    }
    cursor = page.next
  } while (cursor !== undefined && !full())
  if (began && kind.group === '' && kind.kind === 'Namespace') items.push(...(await builtIns(request, selection, names)))
  return { items, revision: revision ?? mesh.revision, continue: cursor }
}

async function builtIns(request: ObjectsRequest, selection: Selection, listed: ReadonlySet<string>): Promise<ResourceObject[]> {
  const found: ResourceObject[] = []
  for (const name of BUILT_IN_NAMESPACES) {
    if (listed.has(name)) continue
    const stored = await findStored({ ...request, name })
    if (stored === undefined || stored.revision !== 0) continue
    const object = present(request.doors, request.target.mesh, request.kind, stored, request.version)
    if (selection.matches(object)) found.push(object)
  }
  return found
}

export function listBody(request: ObjectsRequest, list: ObjectList) {
  return {
    kind: `${request.kind.kind}List`,
    apiVersion: apiVersionOf(request.kind, request.version),
    metadata: listMeta(list),
    items: list.items,
  }
}

export const listMeta = (list: ObjectList) => ({ resourceVersion: String(list.revision), ...(list.continue === undefined ? {} : { continue: list.continue }) })
