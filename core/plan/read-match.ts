import type { CidrRange } from '../wire/gen/envoy/config/core/v3/address_pb.ts'
import { type HeaderMatcher, HeaderMatcherSchema, type QueryParameterMatcher, type RouteMatch, RouteMatchSchema } from '../wire/gen/envoy/config/route/v3/route_components_pb.ts'
import type { RegexMatcher } from '../wire/gen/envoy/type/matcher/v3/regex_pb.ts'
import { type Cidr, compileCidr } from '../match/cidr.ts'
import { compilePath, type PathRule } from '../match/path.ts'
import { allOf, headerPresent, headerValue, type HeadPredicate, inRange, isGrpc, queryPresent, queryValue } from '../match/request.ts'
import { compileText } from '../match/text.ts'
import { at, type Reading } from './read.ts'
import { readClaimMatch } from './read-claim.ts'
import { NOTHING, readPattern, readStringMatch } from './read-string.ts'
import { runtimePercentOf } from './read-value.ts'

export function readHeaderMatch(reading: Reading, path: string, matcher: HeaderMatcher): HeadPredicate {
  const { name, headerMatchSpecifier: by } = matcher
  if (name === '') reading.invalid(at(path, 'name'), 'is missing')
  reading.only(path, HeaderMatcherSchema, matcher, [
    'name', 'exact_match', 'safe_regex_match', 'range_match', 'present_match', 'prefix_match', 'suffix_match', 'contains_match', 'string_match',
    'invert_match', 'treat_missing_header_as_empty',
  ])
  const how = { invert: matcher.invertMatch, missingIsEmpty: matcher.treatMissingHeaderAsEmpty }
  const text = (kind: 'exact' | 'prefix' | 'suffix' | 'contains', value: string) => headerValue(name, compileText({ kind, value, ignoreCase: false }), how)
  switch (by.case) {
    case undefined:
      return headerPresent(name, !how.invert)
    case 'presentMatch':
      return headerPresent(name, by.value !== how.invert)
    case 'exactMatch':
      return text('exact', by.value)
    case 'prefixMatch':
      return text('prefix', by.value)
    case 'suffixMatch':
      return text('suffix', by.value)
    case 'containsMatch':
      return text('contains', by.value)
    case 'safeRegexMatch':
      return headerValue(name, readPattern(reading, at(path, 'safe_regex_match'), by.value.regex), how)
    case 'rangeMatch':
      return headerValue(name, inRange(Number(by.value.start), Number(by.value.end)), how)
    case 'stringMatch':
      return headerValue(name, readStringMatch(reading, at(path, 'string_match'), by.value), how)
  }
}

export function readQueryMatch(reading: Reading, path: string, matcher: QueryParameterMatcher): HeadPredicate {
  const { name, queryParameterMatchSpecifier: by } = matcher
  if (name === '') reading.invalid(at(path, 'name'), 'is missing')
  if (by.case === 'stringMatch') return queryValue(name, readStringMatch(reading, at(path, 'string_match'), by.value))
  return queryPresent(name, by.case === undefined || by.value)
}

export function readCidr(reading: Reading, path: string, range: CidrRange): Cidr {
  const cidr = compileCidr(range.addressPrefix, range.prefixLen ?? 0)
  if (cidr !== undefined) return cidr
  reading.invalid(path, 'is no address range', `${range.addressPrefix}/${range.prefixLen ?? 0}`)
  return { ...NOTHING, bits: 0 }
}

/** What a route matches by its path: the text that `prefix_rewrite` replaces, or 'whole' for a pattern. */
export type MatchedPath = { readonly prefix: string } | 'whole'

export function readRouteMatch(reading: Reading, path: string, match: RouteMatch | undefined): { predicate: HeadPredicate; matched: MatchedPath } {
  if (match === undefined) {
    reading.invalid(path, 'is missing')
    return { predicate: allOf([]), matched: 'whole' }
  }
  reading.only(path, RouteMatchSchema, match, [
    'prefix', 'path', 'path_separated_prefix', 'safe_regex', 'connect_matcher', 'case_sensitive', 'runtime_fraction', 'headers', 'query_parameters', 'grpc', 'dynamic_metadata',
  ])
  if (runtimePercentOf(match.runtimeFraction, 100) < 100) reading.unsupported(at(path, 'runtime_fraction'), 'only 100 % is supported')
  const { condition, matched } = readPath(reading, path, match)
  const conditions = [condition]
  for (const [index, header] of match.headers.entries()) conditions.push(readHeaderMatch(reading, at(path, 'headers', index), header))
  for (const [index, parameter] of match.queryParameters.entries()) conditions.push(readQueryMatch(reading, at(path, 'query_parameters', index), parameter))
  for (const [index, claim] of match.dynamicMetadata.entries()) conditions.push(readClaimMatch(reading, at(path, 'dynamic_metadata', index), claim))
  if (match.grpc !== undefined) conditions.push(isGrpc)
  return { predicate: allOf(conditions), matched }
}

function readPath(reading: Reading, path: string, match: RouteMatch): { condition: HeadPredicate; matched: MatchedPath } {
  const { pathSpecifier: by } = match
  const ignoreCase = match.caseSensitive === false
  switch (by.case) {
    case 'prefix':
      return { condition: onPath({ kind: 'prefix', value: by.value, ignoreCase }), matched: { prefix: by.value } }
    case 'path':
      return { condition: onPath({ kind: 'exact', value: by.value, ignoreCase }), matched: { prefix: by.value } }
    case 'pathSeparatedPrefix':
      if (!by.value.startsWith('/') || by.value.endsWith('/') || /[?#]/.test(by.value)) {
        reading.invalid(at(path, 'path_separated_prefix'), 'begins with a slash, does not end with one, and has neither ? nor #', by.value)
      }
      return { condition: onPath({ kind: 'segments', value: by.value, ignoreCase }), matched: { prefix: by.value } }
    case 'safeRegex':
      return { condition: onPattern(reading, at(path, 'safe_regex'), by.value), matched: 'whole' }
    case 'connectMatcher':
      return { condition: { words: 'CONNECT', matches: (request) => request.method === 'CONNECT' }, matched: 'whole' }
    case 'pathMatchPolicy':
    case undefined:
      if (by.case === undefined) reading.invalid(path, 'has no path specifier')
      return { condition: allOf([]), matched: 'whole' }
  }
}

function onPath(rule: PathRule): HeadPredicate {
  const test = compilePath(rule)
  // A CONNECT has no path, and no rule about paths is about it; those that begin with something do not match it anyway.
  if (rule.kind === 'regex' || rule.value === '') return { words: test.words, matches: (request) => request.path !== '' && test.matches(request.path) }
  return { words: test.words, matches: (request) => test.matches(request.path) }
}

function onPattern(reading: Reading, path: string, matcher: RegexMatcher): HeadPredicate {
  try {
    return onPath({ kind: 'regex', value: matcher.regex })
  } catch (cause) {
    reading.invalid(path, `is no RE2 pattern: ${cause instanceof Error ? cause.message : String(cause)}`, matcher.regex)
    return allOf([])
  }
}
