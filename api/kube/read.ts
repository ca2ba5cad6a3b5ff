import type { ResourceObject } from '#core/resource/object.ts'
import type { Paged, ResourceFilter, StoredResource } from '#db/store.ts'
import { readCursor, writeCursor } from '#db/store/page.ts'
import type { KnownObjects } from '../known-objects.ts'
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
  const key = { group: kind.group, kind: kind.kind, namespace: kind.namespaced ? (namespace ?? '') : '', name }
  const known = doors.known?.(mesh)
  const stored = known === undefined ? await doors.store.getResource(mesh.organizationId, mesh.id, key) : known.object(key)
  if (stored !== undefined) return stored
  return kind.group === '' && kind.kind === 'Namespace' && BUILT_IN_NAMESPACES.includes(name) ? builtInNamespace(mesh, name) : undefined
}

export interface ObjectList {
  readonly stored: readonly StoredResource[]
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

/** Its objects as readers get them. */
export const objectsOf = ({ doors, target, kind, version }: Pick<ObjectsRequest, 'doors' | 'target' | 'kind' | 'version'>, list: ObjectList): ResourceObject[] => list.stored.map((stored) => present(doors, target.mesh, kind, stored, version))

/** All that a list may be asked for beside its selectors; a watch reads its first state with none of it. */
export const WHOLE: ListOptions = { watch: false, limit: 0, continue: undefined, revision: undefined, match: undefined, sendInitialEvents: false, timeoutSeconds: undefined, bookmarks: false }

/**
 * Objects that the request selects: all of them, or a page of `limit`, as they were at one revision: that of the first page, or the very one that is asked for.
 * A watch from there misses nothing.
 * @throws Refusal 410 when the log no longer reaches back to that revision; 504 for a revision of the future
 */
export async function listObjects(request: ObjectsRequest, options: ListOptions): Promise<ObjectList> {
  const { doors, target, kind } = request
  const { mesh } = target
  const selection = selectionOf(request)
  const filter = filterOf(request, selection)
  const found: StoredResource[] = []
  const token = options.continue === undefined ? undefined : readContinue(options.continue)
  let cursor = token?.cursor
  const asked = token?.revision ?? (options.match === 'Exact' ? options.revision : undefined)
  let at = asked
  const names = new Set<string>()
  const full = (): boolean => options.limit !== 0 && found.length >= options.limit
  do {
    const wanted = options.limit === 0 ? PAGE_MAX : Math.min(PAGE_MAX, options.limit - found.length)
    const page =
      knownPage(doors.known?.(mesh), filter, at, cursor, wanted) ??
      (await doors.store.listResources(mesh.organizationId, mesh.id, filter, { limit: wanted, ...(cursor === undefined ? {} : { cursor }), ...(at === undefined ? {} : { at }) }))
    notBefore(options.revision, page.revision)
    at ??= page.revision
    for (const stored of page.items) {
      names.add(stored.key.name)
      if (isSelected(selection, stored)) found.push(stored)
    }
    cursor = page.next
  } while (cursor !== undefined && !full())
  if (asked !== undefined) await stillThere(request, asked)
  if (token === undefined && kind.group === '' && kind.kind === 'Namespace') found.push(...(await builtIns(request, names)).filter((stored) => isSelected(selection, stored)))
  return { stored: found, revision: at ?? mesh.revision, continue: cursor === undefined ? undefined : writeContinue({ cursor, revision: at ?? mesh.revision }) }
}

const isSelected = (selection: Selection, { key, object }: StoredResource): boolean => selection.matches({ metadata: { ...object.metadata, namespace: key.namespace, name: key.name } })

/** A page as the store would answer it, out of memory; undefined where memory is at another revision than the one that is asked for. */
function knownPage(known: KnownObjects | undefined, filter: ResourceFilter, at: number | undefined, cursor: string | undefined, limit: number): (Paged<StoredResource> & { revision: number }) | undefined {
  if (known === undefined || (at !== undefined && at !== known.revision)) return undefined
  const labels = Object.entries(filter.labels ?? {})
  const [, , afterNamespace, afterName] = cursor === undefined ? [] : (readCursor({ cursor }, 4)?.map(String) ?? [])
  // The store itself knows what becomes of a place that nobody gave.
  if (cursor !== undefined && (afterNamespace === undefined || afterName === undefined)) return undefined
  const items: StoredResource[] = []
  for (const stored of known.list(filter.group ?? '', filter.kind ?? '')) {
    const { namespace, name } = stored.key
    if (filter.namespace !== undefined && namespace !== filter.namespace) continue
    if (filter.name !== undefined && name !== filter.name) continue
    if (afterNamespace !== undefined && afterName !== undefined && (namespace < afterNamespace || (namespace === afterNamespace && name <= afterName))) continue
    if (labels.some(([label, value]) => stored.object.metadata.labels?.[label] !== value)) continue
    const last = items.at(-1)
    if (items.length === limit && last !== undefined) return { items, next: writeCursor([last.key.group, last.key.kind, last.key.namespace, last.key.name]), revision: known.revision }
    items.push(stored)
  }
  return { items, next: undefined, revision: known.revision }
}

/** The log bounds how far back one may read, as it bounds a watch: whoever lists a state can follow it. @throws Refusal 410 */
async function stillThere({ doors, target }: ObjectsRequest, revision: number): Promise<void> {
  const { tooOld } = await doors.store.changesAfter(target.mesh.id, revision, 1)
  if (tooOld) throw new Refusal(expired())
}

async function builtIns(request: ObjectsRequest, listed: ReadonlySet<string>): Promise<StoredResource[]> {
  const found: StoredResource[] = []
  for (const name of BUILT_IN_NAMESPACES) {
    if (listed.has(name)) continue
    const stored = await findStored({ ...request, name })
    if (stored?.revision === 0) found.push(stored)
  }
  return found
}
