import { Client } from 'pg'
import type { Doors, Timer } from '#core/time/clock.ts'

const RETRY_MIN_MS = 100
const RETRY_MAX_MS = 5_000

/** A connection that only listens to one channel, and comes back by itself when it is cut. */
export class Listening {
  readonly #doors: Doors
  readonly #url: string
  readonly #channel: string
  readonly #notice: (payload: string) => void
  readonly #gap: () => void
  #client: Client | undefined
  #retry: Timer | undefined
  #attempt = 0
  #closed = false

  /** @param gap called when it listens (again): what was said before that went unheard */
  constructor(doors: Doors, url: string, channel: string, notice: (payload: string) => void, gap: () => void) {
    this.#doors = doors
    this.#url = url
    this.#channel = channel
    this.#notice = notice
    this.#gap = gap
    void this.#connect()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#retry?.cancel()
    await this.#client?.end().catch(() => {}) // it may be half open; either way it is over
  }

  async #connect(): Promise<void> {
    const client = new Client({ connectionString: this.#url, keepAlive: true, application_name: 'weft listening', connectionTimeoutMillis: RETRY_MAX_MS })
    this.#client = client
    let lost = false
    const reconnect = (): void => {
      if (lost || this.#closed) return
      lost = true
      void client.end().catch(() => {}) // cut already, mostly
      const ceilingMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#attempt++)
      this.#retry = this.#doors.clock.after(ceilingMs * (0.5 + this.#doors.random.draw() / 2), () => void this.#connect())
    }
    client.on('error', reconnect)
    client.on('end', reconnect)
    client.on('notification', (message) => this.#notice(message.payload ?? ''))
    try {
      await client.connect()
      await client.query(`listen ${client.escapeIdentifier(this.#channel)}`)
    } catch {
      return reconnect() // polling goes on beneath, so nobody waits for this
    }
    this.#attempt = 0
    if (!this.#closed) this.#gap()
  }
}
