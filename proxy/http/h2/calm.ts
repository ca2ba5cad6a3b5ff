/**
 * Bounds on what a peer may make us do without getting anything done: floods of PING, SETTINGS, RST_STREAM (CVE-2023-44487, and resets that it provokes, CVE-2025-8671),
 * CONTINUATION (CVE-2024-27316), PRIORITY, WINDOW_UPDATE and empty DATA. Every such frame costs; work that gets done, and time, pay back.
 */

/** What a connection may owe. Envoy's bounds are 1,000 control frames and 10,000 outgoing ones. */
const CREDIT_MAX = 1000
const CREDIT_A_SECOND = 200
/** A frame that carried something, sent or received, pays for this many that did not. */
const WORK_PAYS = 10
/** Envoy's overload.premature_reset_total_stream_count: past this many streams, resets must be the smaller half. */
const RESETS_JUDGED_AFTER = 500

export class Calm {
  #credit = CREDIT_MAX
  #paidMs: number
  #resets = 0
  #streams = 0

  constructor(nowMs: number) {
    this.#paidMs = nowMs
  }

  /** A frame of no use; false: the peer has had enough. */
  spend(nowMs: number): boolean {
    if (this.#credit <= 0) {
      this.#credit = Math.min(CREDIT_MAX, Math.floor(((nowMs - this.#paidMs) / 1000) * CREDIT_A_SECOND))
      this.#paidMs = nowMs
      if (this.#credit <= 0) return false
    }
    this.#credit -= 1
    return true
  }

  work(): void {
    this.#credit = Math.min(CREDIT_MAX, this.#credit + WORK_PAYS)
  }

  opened(): void {
    this.#streams += 1
  }

  /** A stream ended by reset before its answer was sent; false: too many did. */
  reset(): boolean {
    this.#resets += 1
    return this.#streams < RESETS_JUDGED_AFTER || this.#resets * 2 < this.#streams
  }
}
