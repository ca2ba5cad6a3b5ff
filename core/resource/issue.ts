import type { z } from 'zod'
import { faultCodes } from '../fault/codes.ts'
import type { FaultCode } from '../fault/codes.ts'
import { fault } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import { nearest } from './edit-distance.ts'
import { formatPath } from './path.ts'
import { fieldNames, schemaAt } from './schema-walk.ts'

type Issue = z.core.$ZodIssue

/**
 * zod's issues as faults, with the values found in `input`. Values below `hidden` fields are left out: they may be secret.
 * A union's issue is flattened: one fault that names what any of its branches would have taken.
 */
export function faultsOf(issues: readonly Issue[], schema: z.core.$ZodType, input: unknown, hidden: readonly string[] = []): Fault[] {
  return issues.flatMap((issue) => faultsOfIssue(issue, schema, input, hidden))
}

function faultsOfIssue(issue: Issue, schema: z.core.$ZodType, input: unknown, hidden: readonly string[]): Fault[] {
  const secret = hidden.includes(String(issue.path[0]))
  const found = valueAt(input, issue.path)
  const value = secret || !isShort(found) ? undefined : found
  const path = formatPath(issue.path)
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = fieldNames(schemaAt(schema, issue.path))
      return issue.keys.map((key) => {
        const meant = nearest(key, known)
        return fault('object.field-unknown', {
          path: formatPath([...issue.path, key]),
          rule: 'unknown field',
          hint: meant === undefined ? `known here: ${known.slice(0, 24).join(', ')}` : `did you mean ${JSON.stringify(meant)}?`,
        })
      })
    }
    case 'custom': {
      const given: unknown = issue.params?.['fault']
      const hint: unknown = issue.params?.['hint']
      // Null hides what may be secret.
      const shown = secret || issue.input === null ? undefined : (issue.input ?? value)
      return [
        fault(isFaultCode(given) ? given : 'object.field-range', {
          path,
          rule: issue.message,
          ...(typeof hint === 'string' ? { hint } : {}),
          ...(shown !== undefined && isShort(shown) ? { value: shown } : {}),
        }),
      ]
    }
    case 'invalid_type':
      if (found === undefined) return [fault('object.field-required', { path, rule: `needed: ${words(issue.expected)}` })]
      return [fault('object.field-type', { path, value, rule: words(issue.expected), ...typeHint(issue.expected, found) })]
    case 'invalid_value': {
      const allowed = issue.values.map(String)
      const meant = typeof found === 'string' ? nearest(found, allowed) : undefined
      return [fault('object.field-range', { path, value, rule: `one of ${allowed.join(', ')}`, ...(meant === undefined ? {} : { hint: `did you mean ${JSON.stringify(meant)}?` }) })]
    }
    case 'invalid_union': {
      const branches = issue.errors.flat()
      const rules = [...new Set(branches.map((one) => (one.code === 'invalid_type' ? words(one.expected) : one.message)))]
      return [fault(found === undefined ? 'object.field-required' : 'object.field-type', { path, value, rule: rules.join(', or ') || 'another value' })]
    }
    case 'invalid_key':
      return [fault('object.field-range', { path, rule: issue.issues.map((one) => one.message).join(', ') })]
    case 'too_small':
      return [fault('object.field-range', { path, value, rule: bound(issue.origin, 'at least', issue.minimum) })]
    case 'too_big':
      return [fault('object.field-range', { path, value, rule: bound(issue.origin, 'at most', issue.maximum) })]
    default:
      return [fault('object.field-range', { path, value, rule: issue.message })]
  }
}

function bound(origin: string, how: string, limit: number | bigint): string {
  const unit = origin === 'string' ? ' characters' : origin === 'array' || origin === 'set' ? ' entries' : ''
  return `${how} ${limit}${unit}`
}

const NAMES: Readonly<Record<string, string>> = { int: 'a whole number', number: 'a number', string: 'text', boolean: 'true or false', array: 'a list', object: 'an object', record: 'a map' }
const words = (type: string): string => NAMES[type] ?? type

function typeHint(expected: string, found: unknown): { hint?: string } {
  if (expected === 'string' && (typeof found === 'number' || typeof found === 'boolean')) return { hint: `put it in quotes: "${String(found)}"` }
  if ((expected === 'number' || expected === 'int') && typeof found === 'string' && found !== '' && Number.isFinite(Number(found))) return { hint: `without quotes: ${found}` }
  if (expected === 'array' && found !== null && typeof found === 'object') return { hint: 'begin it with a dash' }
  return {}
}

function isFaultCode(value: unknown): value is FaultCode {
  return typeof value === 'string' && Object.hasOwn(faultCodes, value)
}

// Values are repeated to help; a long one would not.
function isShort(value: unknown): boolean {
  if (value === undefined || value === null) return value === null
  if (typeof value === 'string') return value.length <= 200
  return typeof value !== 'object'
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let at = root
  for (const step of path) {
    if (at === null || typeof at !== 'object' || !Object.hasOwn(at, step)) return undefined
    at = (at as Record<PropertyKey, unknown>)[step]
  }
  return at
}
