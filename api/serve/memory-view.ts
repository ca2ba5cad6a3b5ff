import { VIRTUAL_HOST } from '#core/wire/type-url.ts'
import type { Resource, ResourceView, Shown, ViewChange } from './resource.ts'

/** A view filled by hand: for tests and benches, which say names, versions and bytes themselves. Several streams may share one. */
export class MemoryView implements ResourceView {
  revision: number
  readonly #versions = new Map<string, string>()
  readonly #types = new Map<string, Map<string, Resource>>()
  #shown: Shown = { as: {}, own: [] }
  readonly #listeners = new Set<(change: ViewChange) => void>()
  readonly #placeholder: (type: string, name: string) => Resource | undefined

  /** @param placeholder answers names that are not there (xds-rules 19); nothing by default */
  constructor(resources: Iterable<Resource> = [], revision = 1, placeholder: (type: string, name: string) => Resource | undefined = () => undefined) {
    this.revision = revision
    this.#placeholder = placeholder
    for (const resource of resources) this.#put(resource)
  }

  /**
   * Applies one step and tells the streams. Without a revision it is the next one; with neither resources nor names it only moves on.
   * `version`: what responses of the types that the step touches call their version from now on, instead of the revision.
   */
  update(step: { changed?: readonly Resource[]; removed?: readonly { type: string; name: string }[]; revision?: number; version?: string }): void {
    const { changed = [], removed = [], revision = this.revision + 1, version } = step
    this.revision = revision
    this.#shown = { as: {}, own: [] }
    if (version !== undefined) for (const { type } of [...changed, ...removed]) this.#versions.set(type, version)
    for (const resource of changed) this.#put(resource)
    for (const { type, name } of removed) this.#types.get(type)?.delete(name)
    for (const listener of this.#listeners) listener({ revision, changed, removed })
  }

  set(...changed: Resource[]): void {
    this.update({ changed })
  }

  remove(type: string, ...names: string[]): void {
    this.update({ removed: names.map((name) => ({ type, name })) })
  }

  /** Streams that hold it. */
  get listeners(): number {
    return this.#listeners.size
  }

  get(type: string, name: string): Resource | undefined {
    const ofType = this.#types.get(type)
    const named = ofType?.get(name)
    if (named !== undefined || type !== VIRTUAL_HOST) return named
    for (const resource of ofType?.values() ?? []) if (resource.aliases?.includes(name)) return resource
    return undefined
  }

  versionOf(type: string): string | undefined {
    return this.#versions.get(type)
  }

  list(type: string): Iterable<Resource> {
    const all = this.#types.get(type)?.values() ?? []
    return type === VIRTUAL_HOST ? [...all].filter((one) => one.aliases === undefined) : all
  }

  /** Everything, of all types. */
  all(): Resource[] {
    return [...this.#types.values()].flatMap((ofType) => [...ofType.values()])
  }

  placeholder(type: string, name: string): Resource | undefined {
    return this.#placeholder(type, name)
  }

  subscribe(listener: (change: ViewChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Of all types at once: streams that hold this view see the same. */
  sharing(): Shown {
    return this.#shown
  }

  /** Nothing to give back: it lives as long as whoever made it. */
  release(): void {}

  #put(resource: Resource): void {
    const known = this.#types.get(resource.type)
    if (known) known.set(resource.name, resource)
    else this.#types.set(resource.type, new Map([[resource.name, resource]]))
  }
}
