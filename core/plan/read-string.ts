import { type StringMatcher, StringMatcherSchema } from '../wire/gen/envoy/type/matcher/v3/string_pb.ts'
import { compileText, type TextPredicate } from '../match/text.ts'
import { at, type Reading } from './read.ts'

/** Stands in for a condition that had a fault; the plan it is part of is thrown away. */
export const NOTHING: TextPredicate = { words: 'nothing', matches: () => false }

/** An RE2 pattern for the whole text. */
export function readPattern(reading: Reading, path: string, pattern: string): TextPredicate {
  try {
    return compileText({ kind: 'regex', value: pattern })
  } catch (cause) {
    reading.invalid(path, `is no RE2 pattern: ${cause instanceof Error ? cause.message : String(cause)}`, pattern)
    return NOTHING
  }
}

export function readStringMatch(reading: Reading, path: string, matcher: StringMatcher | undefined): TextPredicate {
  if (matcher === undefined) {
    reading.invalid(path, 'is missing')
    return NOTHING
  }
  reading.only(path, StringMatcherSchema, matcher, ['exact', 'prefix', 'suffix', 'safe_regex', 'contains', 'ignore_case'])
  const { matchPattern, ignoreCase } = matcher
  switch (matchPattern.case) {
    case 'exact':
    case 'prefix':
    case 'suffix':
    case 'contains':
      return compileText({ kind: matchPattern.case, value: matchPattern.value, ignoreCase })
    case 'safeRegex':
      return readPattern(reading, at(path, 'safe_regex'), matchPattern.value.regex)
    case 'custom':
      return NOTHING
    case undefined:
      reading.invalid(path, 'says nothing to match')
      return NOTHING
  }
}
