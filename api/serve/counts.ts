/** What one type of resource came to on this replica since it started. */
export interface TypeCounts {
  responses: number
  resources: number
  bytes: number
  nacks: number
}

/** Counts of what was sent and refused, by type: plain numbers, for they are counted on the way of every answer. */
export class ServeCounts {
  readonly #types = new Map<string, TypeCounts>()
  resyncs = 0

  of(type: string): TypeCounts {
    let counts = this.#types.get(type)
    if (counts === undefined) this.#types.set(type, (counts = { responses: 0, resources: 0, bytes: 0, nacks: 0 }))
    return counts
  }

  entries(): Iterable<readonly [type: string, counts: Readonly<TypeCounts>]> {
    return this.#types
  }
}
