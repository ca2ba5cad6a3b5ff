import type { Rejection } from './ledger-entry.ts'
import type { Resource } from './resource.ts'

interface Refusal extends Rejection {
  readonly version: string
  /** The oldest revision that the refused response carried. */
  readonly since: number
  /** It was never sent: others refused it before. */
  readonly kept: boolean
  /** The client's words named it, or it was the only one: an ACK of others does not clear it. */
  readonly certain: boolean
}

/** What one client refused of one type, or was spared: a version a name. It is not sent to it again (xds-rules 9), and stands against the mesh for as long as the mesh has that version. */
export class Refusals {
  readonly #refused = new Map<string, Refusal>()
  readonly #standing = new Set<string>()

  get size(): number {
    return this.#refused.size
  }

  /** The version of a name that is not sent. */
  get(name: string): string | undefined {
    return this.#refused.get(name)?.version
  }

  add(resource: Resource, about: { message: string; revision: number; since: number; atMs: number; kept: boolean; certain: boolean }): void {
    this.#refused.set(resource.name, { ...about, version: resource.version, resources: [resource.name], origins: resource.origins })
    this.#standing.add(resource.name)
  }

  /** The mesh has another version of a name now, or none, or this client asks for it no more; or it has again what was refused. */
  moved(name: string, version: string | undefined): void {
    const refused = this.#refused.get(name)
    if (refused === undefined) return
    if (refused.version === version) this.#standing.add(name)
    else this.#standing.delete(name)
  }

  /** An ACK came: what was blamed only because the words named nothing is given the benefit of the doubt. */
  clearDoubts(): void {
    for (const name of this.#standing) if (this.#refused.get(name)?.certain === false) this.#standing.delete(name)
  }

  /** What was kept back may be sent after all. Answers whether it was. */
  lift(name: string): boolean {
    if (this.#refused.get(name)?.kept !== true) return false
    this.#standing.delete(name)
    return this.#refused.delete(name)
  }

  /** What is refused and what the mesh still has. */
  get standing(): readonly Rejection[] {
    return [...this.#standing].flatMap((name) => this.#plain(name))
  }

  /** What stands of what `revision` brought: the contents that were kept back, or those that the client refused itself. */
  broughtBy(revision: number, kept: boolean): readonly Rejection[] {
    if (this.#standing.size === 0) return []
    return [...this.#standing].flatMap((name) => {
      const refused = this.#refused.get(name)
      return refused?.kept === kept && refused.since <= revision && revision <= refused.revision ? this.#plain(name) : []
    })
  }

  #plain(name: string): Rejection[] {
    const refused = this.#refused.get(name)
    if (refused === undefined) return []
    const { message, revision, resources, origins, atMs } = refused
    return [{ message, revision, resources, origins, atMs }]
  }
}
