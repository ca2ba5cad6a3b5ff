import type { ServerHttp2Session } from 'node:http2'

/** So much is behind a slow peer, and not on its way through the network. */
const muchBytes = 64 << 10

/**
 * What a peer has before it that it may not have read. The system takes megabytes for a process that gets no turn; to us they are gone, and our PING lies behind them.
 * A word from the peer, between two looks, says that it had read what was sent before the first.
 */
export class Unread {
  readonly #session: ServerHttp2Session
  #read: number
  #written: number
  #surelyRead = 0

  constructor(session: ServerHttp2Session) {
    this.#session = session
    this.#read = bytesRead(session)
    this.#written = bytesWritten(session)
  }

  /** Whether anything was heard of it since the look before. */
  look(): boolean {
    const read = bytesRead(this.#session)
    const heard = read !== this.#read
    if (heard) this.#surelyRead = this.#written
    this.#read = read
    this.#written = bytesWritten(this.#session)
    return heard
  }

  get isMuch(): boolean {
    return bytesWritten(this.#session) - this.#surelyRead > muchBytes
  }
}

// A session that is over has no socket.
export const bytesRead = (session: ServerHttp2Session): number => (session.destroyed ? 0 : session.socket.bytesRead)
export const bytesWritten = (session: ServerHttp2Session): number => (session.destroyed ? 0 : session.socket.bytesWritten)
