import { type MetadataMatcher, MetadataMatcherSchema } from '../wire/gen/envoy/type/matcher/v3/metadata_pb.ts'
import { type ValueMatcher, ValueMatcherSchema } from '../wire/gen/envoy/type/matcher/v3/value_pb.ts'
import type { HeadPredicate } from '../match/request.ts'
import { at, type Reading } from './read.ts'
import { readStringMatch } from './read-string.ts'

/** A condition on one value of a token's claims. */
interface ValuePredicate {
  readonly words: string
  matches(value: unknown): boolean
}

const NONE: ValuePredicate = { words: 'nothing', matches: () => false }

/** Metadata of the JWT filter, path `payload`: the claims of a verified token. Without a token there is no value: only an inverted condition holds then, as in Envoy. */
export function readClaimMatch(reading: Reading, path: string, matcher: MetadataMatcher): HeadPredicate {
  reading.only(path, MetadataMatcherSchema, matcher, ['filter', 'path', 'value', 'invert'])
  const [first = '', ...keys] = matcher.path.map((segment) => segment.segment.value ?? '')
  if (matcher.filter !== 'envoy.filters.http.jwt_authn' || first !== 'payload' || keys.length === 0) {
    reading.unsupported(path, 'only claims of envoy.filters.http.jwt_authn under payload are supported', `${matcher.filter}/${first}`)
  }
  const test = readValue(reading, at(path, 'value'), matcher.value)
  const { invert } = matcher
  return {
    words: `claim ${keys.join('.')} ${invert ? 'not ' : ''}${test.words}`,
    matches(request) {
      let value: unknown = request.claims
      for (let index = 0; index < keys.length; index++) value = member(value, keys[index] ?? '')
      return test.matches(value) !== invert
    },
  }
}

function member(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key)) return undefined
  return Reflect.get(value, key)
}

function readValue(reading: Reading, path: string, matcher: ValueMatcher | undefined): ValuePredicate {
  if (matcher === undefined) {
    reading.invalid(path, 'is missing')
    return NONE
  }
  reading.only(path, ValueMatcherSchema, matcher, ['null_match', 'bool_match', 'string_match', 'present_match', 'list_match', 'or_match'])
  const by = matcher.matchPattern
  switch (by.case) {
    case 'stringMatch': {
      const test = readStringMatch(reading, at(path, 'string_match'), by.value)
      return { words: test.words, matches: (value) => typeof value === 'string' && test.matches(value) }
    }
    case 'boolMatch':
      return { words: `is ${by.value}`, matches: (value) => value === by.value }
    case 'nullMatch':
      return { words: 'is null', matches: (value) => value === null }
    case 'presentMatch':
      return { words: by.value ? 'present' : 'absent', matches: (value) => (value !== undefined && value !== null) === by.value }
    case 'listMatch': {
      const pattern = by.value.matchPattern
      const test = readValue(reading, at(path, 'list_match.one_of'), pattern.case === 'oneOf' ? pattern.value : undefined)
      return { words: `holds ${test.words}`, matches: (value) => Array.isArray(value) && value.some((one) => test.matches(one)) }
    }
    case 'orMatch': {
      const tests = by.value.valueMatchers.map((one, index) => readValue(reading, at(path, 'or_match.value_matchers', index), one))
      return { words: tests.map((test) => test.words).join(' or '), matches: (value) => tests.some((test) => test.matches(value)) }
    }
    default:
      return NONE
  }
}
