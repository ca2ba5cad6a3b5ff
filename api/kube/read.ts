import type { ResourceObject } from '#core/resource/object.ts'
import type { ResourceFilter, StoredResource } from '#db/store.ts'
import { BUILT_IN_NAMESPACES, builtInNamespace } from '../apply/namespaces.ts'
import { readContinue, writeContinue } from './continue.ts'
import { notBefore } from './options.ts'
import type { ListOptions } from './options.ts'
import { present } from './present.ts'
import { Refusal } from './refusal.ts'
import type { ObjectsRequest } from './request.ts'
import { readSelection } from './selector.ts'
import type { Selection } from './selector.ts'
import { expired } from './status.ts'

/** Rows a round trip. */
const PAGE_MAX = 2000

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

function filterOf(request: ObjectsRequest, selection: Selection): ResourceFilter {
  const namespace = request.namespace ?? (request.kind.namespaced ? selection.namespace : undefined)
  return {
    group: request.kind.group,
    kind: request.kind.kind,
    ...(namespace === undefined ? {} : { namespace }),
    ...(selection.name === undefined ? {} : { name: selection.name }),
    ...(Object.keys(selection.labels).length > 0 ? { labels: selection.labels } : {}),
  }
}

/** All that a list may be asked for beside its selectors; a watch reads its first state with none of it. */
export const WHOLE: ListOptions = { watch: false, limit: 0, continue: undefined, revision: undefined, match: undefined, sendInitialEvents: false, timeoutSeconds: undefined, bookmarks: false }

/**
 * Objects that the request selects: all of them, or a page of `limit`, as they were at one revision: that of the first page, or the very one that is asked for.
 * A watch from there misses nothing.
 * @throws Refusal 410 when the log no longer reaches back to that revision; 504 for a revision of the future
 */
export async function listObjects(request: ObjectsRequest, options: ListOptions): Promise<ObjectList> {
  const { doors, target, kind, version } = request
  const { mesh } = target
  const selection = selectionOf(request)
  const filter = filterOf(request, selection)
  const items: ResourceObject[] = []
  const token = options.continue === undefined ? undefined : readContinue(options.continue)
  let cursor = token?.cursor
  const asked = token?.revision ?? (options.match === 'Exact' ? options.revision : undefined)
  let at = asked
  const names = new Set<string>()
  const full = (): boolean => options.limit !== 0 && items.length >= options.limit
  do {
    const wanted = options.limit === 0 ? PAGE_MAX : Math.min(PAGE_MAX, options.limit - items.length)
    const page = await doors.store.listResources(mesh.organizationId, mesh.id, filter, { limit: wanted, ...(cursor === undefined ? {} : { cursor }), ...(at === undefined ? {} : { at }) })
    notBefore(options.revision, page.revision)
    at ??= page.revision
    for (const stored of page.items) {
      names.add(stored.key.name)
      const object = present(doors, mesh, kind, stored, version)
      if (selection.matches(object)) items.push(object)
    }
    cursor = page.next
  } while (cursor !== undefined && !full())
  if (asked !== undefined) await stillThere(request, asked)
  if (token === undefined && kind.group === '' && kind.kind === 'Namespace') items.push(...(await builtIns(request, selection, names)))
  return { items, revision: at ?? mesh.revision, continue: cursor === undefined ? undefined : writeContinue({ cursor, revision: at ?? mesh.revision }) }
}

/** The log bounds how far back one may read, as it bounds a watch: whoever lists a state can follow it. @throws Refusal 410 */
async function stillThere({ doors, target }: ObjectsRequest, revision: number): Promise<void> {
  const { tooOld } = await doors.store.changesAfter(target.mesh.id, revision, 1)
  if (tooOld) throw new Refusal(expired())
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
