/* oxlint-disable typescript/no-non-null-assertion -- every index stays within its typed array: the loops are bounded by it */
import type { CompiledOperations } from '../filter/header-operations.ts'
import type { FieldTable } from './head-scan.ts'

/**
 * Field lines that go on: all but the dropped ones, cut from the head's text in runs, so that neighbours travel as one slice.
 * `dropped[i]` leaves out line i.
 */
export function keptLines(fields: FieldTable, dropped: Uint8Array): string {
  const { text, count } = fields
  let out = ''
  let from = count === 0 ? fields.fieldsEnd : fields.at[0]!
  for (let i = 0; i < count; i++) {
    if (dropped[i] === 0) continue
    const start = fields.at[4 * i]!
    if (start > from) out += text.slice(from, start)
    from = fields.lineStart(i + 1)
  }
  return from < fields.fieldsEnd ? out + text.slice(from, fields.fieldsEnd) : out
}

/** Marks the lines that header operations remove or replace. */
export function dropByOperations(fields: FieldTable, dropped: Uint8Array, operations: CompiledOperations): void {
  for (const name of operations.drops) dropByName(fields, dropped, name)
}

export function dropByName(fields: FieldTable, dropped: Uint8Array, lowerName: string): void {
  for (let i = 0; i < fields.count; i++) if (fields.nameIs(i, lowerName)) dropped[i] = 1
}

/** The value of a line of lower-case name among lines with their CRLFs; undefined: there is none. */
export function valueIn(lines: string, lowerName: string): string | undefined {
  const at = lines.startsWith(`${lowerName}: `) ? 0 : lines.indexOf(`\r\n${lowerName}: `) + 2
  return at === 1 ? undefined : lines.slice(at + lowerName.length + 2, lines.indexOf('\r\n', at))
}

/** The same of lines that were added, each with its CRLF. */
export function withoutLines(added: string, lowerName: string): string {
  if (!added.includes(`${lowerName}: `)) return added
  return added.split('\r\n').filter((line) => !line.startsWith(`${lowerName}: `)).join('\r\n')
}

export function dropByKind(fields: FieldTable, dropped: Uint8Array, kind: number): void {
  const { kinds, count } = fields
  for (let i = 0; i < count; i++) if (kinds[i] === kind) dropped[i] = 1
}
