import { protocol } from '@electric-sql/pglite'
import type { PGlite } from '@electric-sql/pglite'
import { parameterText } from '../driver.ts'
import type { Statement } from '../driver.ts'
import { valueReaders } from '../values.ts'

const { serialize } = protocol
const asText = (text: string): string => text

/**
 * Statements as one message, with one Sync behind them all: a failure ends it, and what is behind that does not run. In one call where `query` makes five for each statement.
 * @returns the rows of each
 */
export async function runPipeline(database: PGlite, statements: readonly Statement[]): Promise<unknown[][]> {
  const parts: Uint8Array[] = []
  for (const { text, params } of statements) parts.push(serialize.parse({ text }), serialize.bind({ values: params.map(bound) }), serialize.describe({ type: 'P' }), serialize.execute({}))
  parts.push(serialize.sync())
  const { messages } = await database.execProtocol(Buffer.concat(parts))
  const answers: unknown[][] = []
  let rows: unknown[] = []
  let fields: readonly Field[] = []
  for (const message of messages) {
    if (isDescription(message)) fields = message.fields
    else if (isRow(message)) {
      const values = message.fields.map((text, at) => (text === null ? null : (valueReaders[fields[at]?.dataTypeID ?? 0] ?? asText)(text)))
      rows.push(statements[answers.length]?.rows === 'array' ? values : Object.fromEntries(values.map((value, at) => [fields[at]?.name ?? '', value])))
    } else if (message.name === 'commandComplete' || message.name === 'emptyQuery') {
      answers.push(rows)
      rows = []
    }
  }
  return answers
}

interface Field { readonly name: string; readonly dataTypeID: number }
interface Message { readonly name: string }
const isDescription = (message: Message): message is Message & { readonly fields: readonly Field[] } => message.name === 'rowDescription'
const isRow = (message: Message): message is Message & { readonly fields: readonly (string | null)[] } => message.name === 'dataRow'

function bound(value: unknown): string | ArrayBuffer | null {
  const text = parameterText(value)
  return typeof text === 'string' || text === null ? text : new Uint8Array(text).buffer
}
