import type { RequestHead } from '../route/request.ts'
import type { TextPredicate } from './text.ts'
import { readHeader } from './header.ts'
import { queryParameter } from './query.ts'

/** A condition on a request's head, compiled, with words. */
export interface HeadPredicate {
  readonly words: string
  matches(request: RequestHead): boolean
}

/**
 * A condition on a header's value. Missing: no match, inverted or not, unless it counts as empty
 * (envoy.config.route.v3.HeaderMatcher.treat_missing_header_as_empty).
 */
export function headerValue(name: string, value: TextPredicate, how: { invert: boolean; missingIsEmpty: boolean }): HeadPredicate {
  const key = name.toLowerCase()
  const { invert, missingIsEmpty } = how
  return {
    words: `header "${key}" ${invert ? 'not ' : ''}${value.words}`,
    matches(request) {
      const text = readHeader(request, key)
      if (text === undefined && !missingIsEmpty) return false
      return value.matches(text ?? '') !== invert
    },
  }
}

export function headerPresent(name: string, present: boolean): HeadPredicate {
  const key = name.toLowerCase()
  return { words: `header "${key}" ${present ? 'present' : 'absent'}`, matches: (request) => (readHeader(request, key) !== undefined) === present }
}

export function queryValue(name: string, value: TextPredicate): HeadPredicate {
  return {
    words: `query "${name}" ${value.words}`,
    matches(request) {
      const text = queryParameter(request.path, name)
      return text !== undefined && value.matches(text)
    },
  }
}

export function queryPresent(name: string, present: boolean): HeadPredicate {
  return { words: `query "${name}" ${present ? 'present' : 'absent'}`, matches: (request) => (queryParameter(request.path, name) !== undefined) === present }
}

/** Whole numbers from `start` up to, not with, `end`. */
export function inRange(start: number, end: number): TextPredicate {
  return {
    words: `in ${start}..${end - 1}`,
    matches(text) {
      if (!/^-?\d{1,15}$/.test(text)) return false
      const value = Number(text)
      return value >= start && value < end
    },
  }
}

/** A gRPC request by its content-type (grpc.io PROTOCOL-HTTP2). */
export const isGrpc: HeadPredicate = {
  words: 'grpc',
  matches(request) {
    const type = request.header('content-type')
    return type !== undefined && type.startsWith('application/grpc') && (type.length === 16 || type.charCodeAt(16) === 43 || type.charCodeAt(16) === 59)
  },
}

/** All of them. */
export function allOf(conditions: readonly HeadPredicate[]): HeadPredicate {
  const [first, second, ...more] = conditions
  if (first === undefined) return { words: 'any request', matches: () => true }
  if (second === undefined) return first
  const words = conditions.map((one) => one.words).join(' and ')
  if (more.length === 0) return { words, matches: (request) => first.matches(request) && second.matches(request) }
  return {
    words,
    matches(request) {
      for (let at = 0; at < conditions.length; at++) if (conditions[at]?.matches(request) === false) return false
      return true
    },
  }
}
