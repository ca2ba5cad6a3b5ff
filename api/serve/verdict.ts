import type { InFlight } from './flight.ts'
import type { Rejection } from './ledger-entry.ts'
import type { Refusals } from './refusals.ts'
import { namedIn } from './rejection.ts'
import type { Resource } from './resource.ts'

const NOTHING_REFUSED: readonly Rejection[] = []

/** What an answer was about: the resources taken, and those refused where the words leave no doubt. */
export interface Answered {
  readonly accepted: readonly Resource[]
  readonly refused: readonly Resource[]
  readonly revision: number
}

/** What one client said last of what it was sent of one type. What it refused is in its `Refusals` for as long as the mesh has it. */
export class Verdict {
  /** The last answer was a NACK. */
  rejection: Rejection | undefined
  answered: Answered = { accepted: [], refused: [], revision: 0 }
  readonly #refusals: Refusals
  /** The oldest revision that the refused response carried. */
  #since = 0

  constructor(refusals: Refusals) {
    this.#refusals = refusals
  }

  accepts({ resources, revision }: InFlight): void {
    this.rejection = undefined
    this.#refusals.clearDoubts()
    this.answered = { accepted: resources, refused: [], revision }
  }

  /** Envoy may have applied the good ones (xds-rules 10): all of them count as sent. Those that its words name, or all, are never sent again as they are. */
  refuses({ resources, revision, since }: InFlight, message: string, atMs: number): void {
    const blamed = namedIn(message, resources)
    const certain = blamed.length < resources.length || blamed.length === 1
    for (const resource of blamed) this.#refusals.add(resource, { message, revision, since, atMs, kept: false, certain })
    this.answered = { accepted: [], refused: certain ? blamed : [], revision }
    this.#since = since
    this.rejection = {
      message,
      revision,
      resources: blamed.map((resource) => resource.name),
      origins: [...new Set(blamed.flatMap((resource) => resource.origins))],
      atMs,
    }
  }

  /** Refusals of what `revision` brought: by this client, or by others before it was sent. */
  rejectionsOf(revision: number): readonly Rejection[] {
    const { rejection } = this
    if (rejection === undefined && this.#refusals.size === 0) return NOTHING_REFUSED
    const own = rejection && this.#since <= revision && revision <= rejection.revision ? [rejection] : this.#refusals.broughtBy(revision, false)
    return [...own, ...this.#refusals.broughtBy(revision, true)]
  }
}
