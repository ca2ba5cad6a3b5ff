import type { Connection, Submittable } from 'pg'
import type { Statement } from '../driver.ts'
import { parameterText } from '../driver.ts'

interface RowDescription { readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[] }
interface DataRow { readonly fields: readonly (string | null)[] }
/** What the messages of the extended protocol need, in pg's words; its types know less of them than it does. */
interface Wire {
  readonly stream: { cork(): void; uncork(): void }
  parse(message: { text: string; name: string; types: readonly number[] }): void
  bind(message: { portal: string; statement: string; values: readonly (string | Buffer | null)[] }): void
  describe(message: { type: 'P'; name: string }): void
  execute(message: { portal: string; rows: number }): void
  sync(): void
}

/**
 * Statements that go out together, with one Sync behind them all: where one fails, the server skips those behind it (Postgres' protocol, "Pipelining"). So nothing runs outside of a transaction that
 * could not begin, and nothing is committed after a failure. pg's own pipelines sync after every statement, and then the next one runs in any case.
 */
export class Pipeline implements Submittable {
  readonly #statements: readonly Statement[]
  readonly #values: readonly (readonly (string | Buffer | null)[])[]
  readonly #readerOf: (type: number) => (text: string) => unknown
  readonly #done: (rows: unknown[][]) => void
  readonly #failed: (error: unknown) => void
  readonly #answers: unknown[][] = []
  #fields: RowDescription['fields'] = []
  #rows: unknown[] = []
  #unreadable: unknown

  /** @param done gets the rows of each statement */
  constructor(statements: readonly Statement[], readerOf: (type: number) => (text: string) => unknown, done: (rows: unknown[][]) => void, failed: (error: unknown) => void) {
    this.#statements = statements
    // Here and not where they are sent: what throws there leaves pg waiting for an answer.
    this.#values = statements.map(({ params }) => params.map(parameterText))
    this.#readerOf = readerOf
    this.#done = done
    this.#failed = failed
  }

  submit(connection: Connection): void {
    const wire = connection as unknown as Wire
    wire.stream.cork()
    for (const [at, { text }] of this.#statements.entries()) {
      wire.parse({ text, name: '', types: [] })
      wire.bind({ portal: '', statement: '', values: this.#values[at] ?? [] })
      wire.describe({ type: 'P', name: '' })
      wire.execute({ portal: '', rows: 0 })
    }
    wire.sync()
    wire.stream.uncork()
  }

  handleRowDescription({ fields }: RowDescription): void {
    this.#fields = fields
  }

  handleDataRow({ fields: texts }: DataRow): void {
    try {
      const values = texts.map((text, at) => (text === null ? null : this.#readerOf(this.#fields[at]?.dataTypeID ?? 0)(text)))
      const isArray = this.#statements[this.#answers.length]?.rows === 'array'
      this.#rows.push(isArray ? values : Object.fromEntries(values.map((value, at) => [this.#fields[at]?.name ?? '', value])))
    } catch (error) {
      this.#unreadable ??= error
    }
  }

  handleCommandComplete(): void {
    this.#answers.push(this.#rows)
    this.#rows = []
  }

  handleEmptyQuery(): void {
    this.handleCommandComplete()
  }

  handlePortalSuspended(): void {
    throw new Error('a statement of a pipeline is asked for all of its rows')
  }

  handleCopyInResponse(): void {
    throw new Error('a statement of a pipeline copies nothing')
  }

  handleError(error: unknown): void {
    this.#failed(error)
  }

  handleReadyForQuery(): void {
    if (this.#unreadable !== undefined) this.#failed(this.#unreadable)
    else this.#done(this.#answers)
  }
}
