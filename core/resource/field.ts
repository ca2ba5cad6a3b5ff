import { z } from 'zod'
import type { FaultCode } from '../fault/codes.ts'
import { durationNs } from './duration.ts'
import { compileRegex } from '../match/regex.ts'

/** What a rule has against a value. `at` leads from the value that is judged to the field that is wrong. */
export interface Complaint {
  readonly at?: readonly (string | number)[]
  readonly code?: FaultCode
  readonly rule: string
  readonly hint?: string
  readonly value?: unknown
}

/**
 * Makes a zod refinement of a rule that may complain several times.
 * The complaint's code and hint travel in the issue's `params`, from where `parse.ts` takes them.
 */
export function judged<T>(judge: (value: T) => Iterable<Complaint>): (value: T, context: z.RefinementCtx<T>) => void {
  return (value, context) => {
    for (const one of judge(value)) {
      context.addIssue({
        code: 'custom',
        path: [...(one.at ?? [])],
        message: one.rule,
        params: { fault: one.code ?? 'object.field-range', hint: one.hint },
        ...(one.value === undefined ? {} : { input: one.value }),
      })
    }
  }
}

export const text = () => z.string()
export const texts = () => z.array(z.string())
export const flag = () => z.boolean()
export const textMap = () => z.record(z.string(), z.string())
export const int32 = () => z.int().min(-2147483648).max(2147483647)
export const uint32 = () => z.int().min(0).max(4294967295)
/** TCP or UDP port, 1..65535. */
export const portNumber = () => z.int().min(1).max(65535)

/** A duration as Go writes it. Istio takes nothing below a millisecond, and nothing finer. */
export const duration = () =>
  z.string().superRefine(
    judged(function* (value: string) {
      const ns = durationNs(value)
      if (ns === undefined) yield { rule: 'a duration such as 10s, 250ms or 1h30m', code: 'object.field-type' }
      else if (ns < 1e6) yield { rule: 'a duration of at least 1ms' }
      else if (ns % 1e6 !== 0) yield { rule: 'a duration in whole milliseconds' }
    }),
  )

/** A duration that may be zero, or fine: where Istio says `0s` to switch something off. */
export const durationOrZero = () =>
  z.string().superRefine(
    judged(function* (value: string) {
      const ns = durationNs(value)
      if (ns === undefined || ns < 0) yield { rule: 'a duration such as 10s, or 0s', code: 'object.field-type' }
    }),
  )

/** Why a pattern cannot be used, or undefined. RE2 syntax: no look-around, no back-references. */
export function regexComplaint(pattern: string): string | undefined {
  if (pattern.length > 1024) return 'a regular expression of at most 1024 characters'
  try {
    compileRegex(pattern)
    return undefined
  } catch (error) {
    return `a regular expression in RE2 syntax: ${error instanceof Error ? error.message : String(error)}`
  }
}

/** At most one of `names` is present in `value`. */
export function* atMostOne(value: Readonly<Record<string, unknown>>, names: readonly string[]): Iterable<Complaint> {
  const present = names.filter((name) => value[name] !== undefined)
  if (present.length > 1) yield { at: [present[1] ?? ''], code: 'object.field-conflict', rule: `only one of ${names.join(', ')} may be set`, value: undefined }
}
