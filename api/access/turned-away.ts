/** Which of the doors somebody knocked at. */
export type Api = 'rest' | 'kube' | 'discovery'

/**
 * Requests that were answered with 429, by API. They are counted and not filed: the audit log is a tenant's, a flood mostly comes without a tenant, and to write a row for each refusal would give whoever
 * floods what the bound took from them.
 */
export class TurnedAway {
  readonly #counts = new Map<Api, number>()

  add(api: Api): void {
    this.#counts.set(api, (this.#counts.get(api) ?? 0) + 1)
  }

  entries(): Iterable<[Api, number]> {
    return this.#counts.entries()
  }
}
