import type { Status } from './status.ts'

/** A request that is refused with a Status of its own, from wherever it was found out. */
export class Refusal extends Error {
  readonly status: Status

  constructor(status: Status) {
    super(status.message ?? status.reason ?? 'refused')
    this.name = 'Refusal'
    this.status = status
  }
}
