import { contentHash } from '#core/wire/encode.ts'
import { VIRTUAL_HOST } from '#core/wire/type-url.ts'
import { MemoryView } from './memory-view.ts'
import { MalformedMessage, scanFields, stringField, textOf } from './protobuf.ts'
import type { Resource } from './resource.ts'

/** One resource as a test states it. Its content is opaque here. */
export interface Stated {
  readonly type: string
  /** Read from the content when left out: the first field of every type of resource is its name. */
  readonly name?: string
  /** The hash of the content when left out. */
  readonly version?: string
  /** A message that holds the name and nothing else when left out. */
  readonly bytes?: Uint8Array
  readonly ttlMs?: number
  readonly aliases?: readonly string[]
}

/** What discovery serves to each node, stated by hand with explicit versions: for tests that judge the protocol apart from any translation. */
export class NodeStates {
  readonly #views = new Map<string, MemoryView>()

  /** The view of a node, empty until something is stated for it. */
  viewOf(node: string): MemoryView {
    let view = this.#views.get(node)
    if (view === undefined) this.#views.set(node, (view = new MemoryView([], 1, absentHost)))
    return view
  }

  /** The whole state of a node: what is not in it is removed. @throws MalformedMessage */
  set(node: string, version: string, stated: readonly Stated[]): void {
    const view = this.viewOf(node)
    const wanted = stated.map((one) => resourceOf(one, version))
    const kept = new Set(wanted.map(({ type, name }) => `${type} ${name}`))
    view.update({
      changed: wanted.filter((one) => view.get(one.type, one.name)?.version !== one.version || !isSame(view.get(one.type, one.name)?.bytes, one.bytes)),
      removed: view.all().filter(({ type, name }) => !kept.has(`${type} ${name}`)),
      version,
    })
  }

  /** Adds a resource, or puts it in the place of the one of that name. Left out, the content stays as it was. @throws MalformedMessage */
  put(node: string, stated: Stated, version: string): void {
    const view = this.viewOf(node)
    const before = stated.name === undefined ? undefined : view.get(stated.type, stated.name)
    view.update({ changed: [resourceOf({ ...(before ? { bytes: before.bytes, ...(before.aliases ? { aliases: before.aliases } : {}) } : {}), ...stated }, version)], version })
  }

  remove(node: string, type: string, name: string, version?: string): void {
    this.viewOf(node).update({ removed: [{ type, name }], ...(version === undefined ? {} : { version }) })
  }

  clear(node: string): void {
    const view = this.viewOf(node)
    view.update({ removed: view.all() })
  }
}

function resourceOf({ type, name, version, bytes, ttlMs, aliases }: Stated, ofAll: string): Resource {
  const content = bytes ?? stringField(1, name ?? '')
  const chosen = version ?? ofAll
  return {
    type,
    name: name ?? nameIn(content),
    version: chosen === '' ? contentHash(content) : chosen,
    bytes: content,
    origins: [],
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(aliases === undefined ? {} : { aliases }),
  }
}

/** The first field of Listener, Cluster, RouteConfiguration, ScopedRouteConfiguration, VirtualHost, ClusterLoadAssignment (cluster_name), Secret and TypedExtensionConfig. */
function nameIn(bytes: Uint8Array): string {
  let name: string | undefined
  scanFields(bytes, (field) => {
    if (field.field === 1) name = textOf(bytes, field)
    return name === undefined
  })
  if (name === undefined || name === '') throw new MalformedMessage('a resource without a name')
  return name
}

const isSame = (a: Uint8Array | undefined, b: Uint8Array): boolean => a !== undefined && Buffer.compare(a, b) === 0

/** To a host that no virtual host serves Envoy wants a resource without content, or the request waits (VHDS, "Server response"). */
const absentHost = (type: string, name: string): Resource | undefined =>
  type === VIRTUAL_HOST ? { type, name, version: 'absent', bytes: new Uint8Array(0), origins: [], aliases: [name], absent: true } : undefined
