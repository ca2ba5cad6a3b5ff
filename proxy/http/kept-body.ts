/** A body up to this size can be sent again; a larger one goes on unkept, and its request is not retried. */
const RESENT_BYTES_MAX = 256 * 1024

/** What has come of a request's body and may be needed again: for a connection that is not there yet, for a filter that reads it, for another try, for a mirror. */
export class KeptBody {
  readonly chunks: Buffer[] = []
  bytes = 0

  get resendable(): boolean {
    return this.bytes <= RESENT_BYTES_MAX
  }

  /** Copies; the read's buffer is used again. */
  add(bytes: Buffer, start: number, end: number): void {
    this.chunks.push(Buffer.from(bytes.subarray(start, end)))
    this.bytes += end - start
  }
}

/** For exchanges that keep nothing. */
export const NOTHING_KEPT: { readonly chunks: readonly Buffer[]; readonly bytes: number } = { chunks: [], bytes: 0 }
