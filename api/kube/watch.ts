import type { ResourceObject } from '#core/resource/object.ts'
import { apiVersionOf } from '#core/resource/registry.ts'
import type { Change, StoredResource } from '#db/store.ts'
import type { ApiDoors } from '../rest/doors.ts'
import { present } from './present.ts'
import { listObjects, objectsOf, selectionOf, WHOLE } from './read.ts'
import type { ListOptions } from './options.ts'
import { metadataOf } from './media-type.ts'
import type { ObjectsRequest } from './request.ts'
import { tableOf } from './table.ts'
import { expired } from './status.ts'

interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: unknown
}

const CHANGES_MAX = 500
/** A client that asks for no bound is cut after this long, and comes back: so that streams spread over replicas again. */
const TIMEOUT_MAX_S = 3600
/** A watch lives longer than a key may: after this long, changes are told to whoever is still allowed to. */
const JUDGED_AGAIN_MS = 10_000

/** The stream of a watch: a JSON line an event, until the client goes, its timeout is over, or the log no longer reaches back. */
export function watchStream(request: ObjectsRequest, options: ListOptions): ReadableStream<Uint8Array> {
  const seconds = Math.min(TIMEOUT_MAX_S, Math.max(1, options.timeoutSeconds || TIMEOUT_MAX_S))
  const gone = new AbortController()
  // A deadline of the connection itself, like a socket's.
  const stop = AbortSignal.any([gone.signal, request.signal, AbortSignal.timeout(seconds * 1000)])
  const events = watchEvents(request, options, stop)
  const encoder = new TextEncoder()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await events.next()
        if (next.done) controller.close()
        else controller.enqueue(encoder.encode(`${JSON.stringify(next.value)}\n`))
      },
      async cancel() {
        gone.abort()
        await events.return(undefined)
      },
    },
    { highWaterMark: 1 },
  )
}

async function* watchEvents(request: ObjectsRequest, options: ListOptions, stop: AbortSignal): AsyncGenerator<WatchEvent, void, undefined> {
  const { doors, target } = request
  const { mesh } = target
  const shape = new EventShape(request)
  const news = new News(doors.store.onChange.bind(doors.store), mesh.id, stop)
  let unfollow: (() => void) | undefined
  let judgedMs = doors.wallMs()
  try {
    const initial = options.sendInitialEvents || options.revision === undefined || options.revision === 0
    let revision = options.revision ?? 0
    if (initial) {
      const list = await listObjects(request, WHOLE)
      for (const object of objectsOf(request, list)) yield shape.initial(object, list.revision)
      revision = list.revision
      if (options.sendInitialEvents) yield shape.bookmark(revision, { 'k8s.io/initial-events-end': 'true' })
    }
    // Whoever waits for one object has listed it before: its status may have changed since without a revision, so that it is told once more.
    if (!initial && selectionOf(request).name !== undefined) {
      for (const object of objectsOf(request, await listObjects(request, WHOLE))) {
        if (Number(object.metadata.resourceVersion) <= revision && hasConditions(object.status)) yield shape.again(object)
      }
    }
    while (!stop.aborted) {
      if (doors.wallMs() - judgedMs >= JUDGED_AGAIN_MS) {
        if (!(await request.stillAllowed())) return
        judgedMs = doors.wallMs()
      }
      const { changes, tooOld } = await changesTogether(doors.store, mesh.id, revision)
      if (tooOld) {
        yield { type: 'ERROR', object: expired() }
        return
      }
      let told = false
      for (const change of changes) {
        const event = await shape.of(change)
        if (event !== undefined) yield event
        told = event !== undefined
        revision = change.revision
      }
      if (changes.length > 0) {
        if (!told && options.bookmarks) yield shape.bookmark(revision)
        continue
      }
      // Proxies' answers make no revision: while one is awaited, the mesh's live events say when to look again.
      if (shape.isUnsettled()) unfollow ??= doors.follow(mesh.id, () => news.nudge())
      else {
        unfollow?.()
        unfollow = undefined
      }
      await news.after(revision)
      yield* shape.settled()
    }
  } finally {
    unfollow?.()
    news.close()
    request.ended?.()
  }
}

const befores = new WeakMap<StoredResource, Promise<ResourceObject | undefined>>()

type ChangesAnswer = Awaited<ReturnType<ApiDoors['store']['changesAfter']>>
const reading = new WeakMap<ApiDoors['store'], Map<string, Promise<ChangesAnswer>>>()

/** Changes after a revision, read once for all watchers that ask at the same time: a thousand of them wake at one write. */
function changesTogether(store: ApiDoors['store'], meshId: string, revision: number): Promise<ChangesAnswer> {
  const own = store.ownChangesAfter(meshId, revision, CHANGES_MAX)
  if (own.length > 0) return Promise.resolve({ changes: [...own], tooOld: false })
  const under = reading.get(store) ?? new Map<string, Promise<ChangesAnswer>>()
  reading.set(store, under)
  const place = `${meshId} ${revision}`
  const known = under.get(place)
  if (known !== undefined) return known
  const read = store.changesAfter(meshId, revision, CHANGES_MAX).finally(() => under.delete(place))
  under.set(place, read)
  return read
}

/** Wakes a waiter when the mesh has moved beyond a revision. */
class News {
  #newest = 0
  #nudged = false
  #wake: (() => void) | undefined
  readonly #unsubscribe: () => void
  readonly #stop: AbortSignal
  readonly #stopped = (): void => this.#wake?.()

  constructor(subscribe: (listener: (meshId: string, revision: number) => void) => () => void, meshId: string, stop: AbortSignal) {
    this.#stop = stop
    stop.addEventListener('abort', this.#stopped)
    this.#unsubscribe = subscribe((changed, revision) => {
      if (changed !== meshId) return
      this.#newest = Math.max(this.#newest, revision)
      this.#wake?.()
    })
  }

  /** Resolves at news of a later revision, or when it is time to stop. */
  async after(revision: number): Promise<void> {
    while (this.#newest <= revision && !this.#nudged && !this.#stop.aborted) {
      await new Promise<void>((resolve) => (this.#wake = resolve))
      this.#wake = undefined
    }
    this.#nudged = false
  }

  /** Resolves the wait without news of a revision. */
  nudge(): void {
    this.#nudged = true
    this.#wake?.()
  }

  close(): void {
    this.#unsubscribe()
    this.#stop.removeEventListener('abort', this.#stopped)
  }
}

/** Makes a request's events of changes: which it selects, in the version and form it asked for. */
class EventShape {
  readonly #request: ObjectsRequest
  readonly #selection: ReturnType<typeof selectionOf>
  /** Objects of the first state that are newer than its revision: the log tells of them once more. */
  readonly #ahead = new Map<string, number>()
  /** Objects that were shown as not yet programmed, and with which status: proxies' answers make no revision, so that these are looked at again. */
  readonly #unsettled = new Map<string, { readonly object: ResourceObject; readonly said: string }>()
  #columnsSent = false

  constructor(request: ObjectsRequest) {
    this.#request = request
    this.#selection = selectionOf(request)
  }

  initial(object: ResourceObject, revision: number): WatchEvent {
    const own = Number(object.metadata.resourceVersion)
    if (own > revision) this.#ahead.set(keyText(object.metadata), own)
    this.#note(object)
    return { type: 'ADDED', object: this.#form(object) }
  }

  again(object: ResourceObject): WatchEvent {
    this.#note(object)
    return { type: 'MODIFIED', object: this.#form(object) }
  }

  isUnsettled(): boolean {
    return this.#unsettled.size > 0
  }

  /** Events of objects whose status is another than the one that was shown. */
  *settled(): Iterable<WatchEvent> {
    const { doors, target } = this.#request
    for (const { object, said } of [...this.#unsettled.values()]) {
      const status = doors.statusOf(target.mesh.id, object)
      if (JSON.stringify(status) === said) continue
      const now = { ...object, status }
      this.#note(now)
      yield { type: 'MODIFIED', object: this.#form(now) }
    }
  }

  #note(object: ResourceObject): void {
    const key = keyText(object.metadata)
    if (isSettled(object.status)) this.#unsettled.delete(key)
    else this.#unsettled.set(key, { object, said: JSON.stringify(object.status) })
  }

  bookmark(revision: number, annotations?: Readonly<Record<string, string>>): WatchEvent {
    const { kind, version, form } = this.#request
    const object = { kind: kind.kind, apiVersion: apiVersionOf(kind, version), metadata: { name: '', resourceVersion: String(revision), ...(annotations ? { annotations } : {}) } }
    return { type: 'BOOKMARK', object: form.as === 'Table' ? tableOf(kind, [], 0, { include: 'None', version: form.version }, { resourceVersion: String(revision) }, false) : form.as === 'PartialObjectMetadata' ? { ...object, kind: form.as, apiVersion: `meta.k8s.io/${form.version}` } : object }
  }

  /** Undefined for what the request does not select. */
  async of(change: Change): Promise<WatchEvent | undefined> {
    const { kind, namespace } = this.#request
    if (change.of !== 'resource' || change.key.group !== kind.group || change.key.kind !== kind.kind) return undefined
    if (namespace !== undefined && change.key.namespace !== namespace) return undefined
    const key = keyText(change.key)
    const ahead = this.#ahead.get(key)
    if (ahead !== undefined && change.revision <= ahead) return undefined
    if (change.stored === undefined) {
      this.#unsettled.delete(key)
      const last = change.last === undefined ? undefined : this.#present({ ...change.last, revision: change.revision })
      return last === undefined || !this.#selection.matches(last) ? undefined : { type: 'DELETED', object: this.#form(last) }
    }
    const object = this.#present(change.stored)
    const selected = this.#selection.matches(object)
    // Only labels can change what is selected: by name and namespace it is so for ever.
    if (!selected && !this.#selection.byLabels) return undefined
    const before = await this.#selectedBefore(change.stored)
    if (!selected) {
      this.#unsettled.delete(key)
      // To this client it is gone, as it last saw it.
      return before === undefined ? undefined : { type: 'DELETED', object: this.#form(this.#present({ ...change.stored, object: before })) }
    }
    this.#note(object)
    return { type: before === undefined ? 'ADDED' : 'MODIFIED', object: this.#form(object) }
  }

  /** The object as it was before, where the request selected it then. */
  async #selectedBefore(stored: StoredResource): Promise<ResourceObject | undefined> {
    if (!this.#selection.byLabels && stored.generation > 1) return stored.object
    // Watchers that share the reading share the object, and so this answer.
    const known = befores.get(stored) ?? this.#askBefore(stored)
    befores.set(stored, known)
    const before = await known
    if (before === undefined) return undefined
    const { namespace, name } = stored.key
    return this.#selection.matches({ metadata: { ...before.metadata, namespace, name } }) ? before : undefined
  }

  async #askBefore(stored: StoredResource): Promise<ResourceObject | undefined> {
    const { doors, target } = this.#request
    const [then] = await doors.store.objectsAt(target.mesh.organizationId, target.mesh.id, stored.revision - 1, stored.key)
    return then?.object ?? undefined
  }

  #present(stored: StoredResource): ResourceObject {
    const { doors, target, kind, version } = this.#request
    return present(doors, target.mesh, kind, stored, version)
  }

  #form(object: ResourceObject): unknown {
    const { doors, kind, form, include } = this.#request
    if (form.as === 'object') return object
    if (form.as === 'PartialObjectMetadata') return metadataOf(object, form.version)
    const table = tableOf(kind, [object], doors.wallMs(), { include, version: form.version }, { resourceVersion: object.metadata.resourceVersion }, !this.#columnsSent)
    this.#columnsSent = true
    return table
  }
}

/** Nothing will change by proxies’ answers alone, or there is nothing to change. */
const isSettled = (status: unknown): boolean => !hasConditions(status) || status.conditions.every((one) => one.status === 'True')

const hasConditions = (status: unknown): status is { readonly conditions: readonly { readonly status?: unknown }[] } =>
  status !== null && typeof status === 'object' && 'conditions' in status && Array.isArray(status.conditions)

const keyText = (of: { readonly namespace?: string; readonly name: string }): string => `${of.namespace ?? ''}/${of.name}`
