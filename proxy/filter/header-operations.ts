import type { HeaderOperations } from '#core/plan/route.ts'
import { compileFormat, renderFormat } from '../telemetry/format.ts'
import type { Part } from '../telemetry/format.ts'
import type { Facts } from '../telemetry/facts.ts'
import type { FieldTable } from '../http/head-scan.ts'
import { wireText } from '#core/wire/wire-text.ts'

/** Header operations, ready to run: which names go, which lines come. */
export interface CompiledOperations {
  /** Lower-case names whose lines are left out: removed ones, and set ones, whose new line follows. */
  readonly drops: readonly string[]
  readonly lines: readonly { readonly start: string; readonly parts: readonly Part[] }[]
  /** All lines, when none depends on the request. */
  readonly constant: string | undefined
  /** Those that depend on what is there: `wants` says whether the header must be there, or must not. */
  readonly conditional: readonly { readonly name: string; readonly wants: boolean; readonly start: string; readonly parts: readonly Part[] }[]
  /** A `host` or `:authority` that is set. */
  readonly authority: readonly Part[] | undefined
}

const compiled = new WeakMap<HeaderOperations, CompiledOperations>()

/** Compiled once for each plan value, when first used. */
export function operationsOf(operations: HeaderOperations): CompiledOperations {
  const known = compiled.get(operations)
  if (known !== undefined) return known
  const made = compile(operations)
  compiled.set(operations, made)
  return made
}

const isAuthority = (name: string): boolean => name === 'host' || name === ':authority'
const isoOf = (wallMs: number): string => new Date(wallMs).toISOString()
// Configuration may not break the framing either.
const oneLine = (text: string): string => (/[^\0-\xff]/.test(text) ? wireText(text) : text).replace(/[\r\n\0]/g, '')

function compile(operations: HeaderOperations): CompiledOperations {
  const drops = [...operations.remove, ...operations.set.map((one) => one.name)].filter((name) => !name.startsWith(':') && name !== 'host')
  const authority = operations.set.findLast((one) => isAuthority(one.name))
  const lines = [...operations.set, ...operations.add]
    .filter((one) => !one.name.startsWith(':') && one.name !== 'host')
    .map((one) => ({ start: `${one.name}: `, parts: compileFormat(oneLine(one.value), isoOf) }))
  const when = (list: HeaderOperations['addIfAbsent'], wants: boolean) =>
    (list ?? []).filter((one) => !one.name.startsWith(':') && one.name !== 'host').map((one) => ({ name: one.name, wants, start: `${one.name}: `, parts: compileFormat(oneLine(one.value), isoOf) }))
  const fixed = lines.every((line) => line.parts.every((part) => typeof part === 'string'))
  return {
    drops,
    lines,
    constant: fixed ? lines.map((line) => `${line.start}${line.parts.join('')}\r\n`).join('') : undefined,
    conditional: [...when(operations.addIfAbsent, false), ...when(operations.setIfPresent, true)],
    authority: authority === undefined ? undefined : compileFormat(oneLine(authority.value), isoOf),
  }
}

/** The lines to add, each with its CRLF. */
export function renderOperations(operations: CompiledOperations, facts: Facts): string {
  if (operations.constant !== undefined) return operations.constant
  let text = ''
  for (const line of operations.lines) text += `${line.start}${renderFormat(line.parts, facts)}\r\n`
  return text
}

/**
 * The lines of operations that depend on what is there, after the others: `dropped` marks the lines of the message that are left out, `added` has those that came before.
 * A header that is replaced is marked as well. Without fields the message is all in `added`.
 */
export function renderConditional(operations: CompiledOperations, facts: Facts, fields: FieldTable | undefined, dropped: Uint8Array, added: string): string {
  let text = ''
  for (const { name, wants, start, parts } of operations.conditional) {
    let there = added.startsWith(start) || added.includes(`\n${start}`)
    if (fields !== undefined) for (let at = 0; at < fields.count && !there; at++) there = dropped[at] === 0 && fields.nameIs(at, name)
    if (there !== wants) continue
    if (wants && fields !== undefined) for (let at = 0; at < fields.count; at++) if (fields.nameIs(at, name)) dropped[at] = 1
    text += `${start}${renderFormat(parts, facts)}\r\n`
  }
  return text
}
