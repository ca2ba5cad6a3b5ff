import { fieldKind } from '../field-kind.ts'

/** Kinds of fields beside those of field-kind.ts: the pseudo-fields of RFC 9113 §8.3, and what must not be in a message at all. */
export const METHOD = 64
export const SCHEME = 65
export const AUTHORITY = 66
export const PATH = 67
export const STATUS = 68
const PROTOCOL = 69
export const COOKIE = 32
export const MALFORMED = 127

/** One field line, as decoded: immutable, and shared by all messages that name it by its index. */
export class Field {
  readonly name: string
  readonly value: string
  readonly kind: number
  /** `name: value` with its CRLF; empty for pseudo-fields. */
  readonly line: string
  /** RFC 7541 §4.1. */
  readonly sizeBytes: number

  constructor(name: string, value: string, kind: number) {
    this.name = name
    this.value = value
    this.kind = kind
    this.line = kind >= METHOD ? '' : `${name}: ${value}\r\n`
    this.sizeBytes = name.length + value.length + 32
  }
}

const pseudoKinds = new Map<string, number>([
  [':method', METHOD],
  [':scheme', SCHEME],
  [':authority', AUTHORITY],
  [':path', PATH],
  [':status', STATUS],
  [':protocol', PROTOCOL],
])

const NAME = 1
const VALUE = 2
const classes = new Uint8Array(256)
for (const letter of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") classes[letter.charCodeAt(0)]! |= NAME
for (let byte = 0; byte < 256; byte++) if (byte === 9 || (byte >= 32 && byte !== 127)) classes[byte]! |= VALUE

/** The kind of a field name; MALFORMED for one that RFC 9113 §8.2.1 forbids, upper-case letters among them. */
export function kindOfFieldName(bytes: Uint8Array, start: number, end: number, name: string): number {
  if (start === end) return MALFORMED
  if (bytes[start] === 58) return pseudoKinds.get(name) ?? MALFORMED
  for (let p = start; p < end; p++) if ((classes[bytes[p]!]! & NAME) === 0) return MALFORMED
  return name === 'cookie' ? COOKIE : fieldKind(bytes, start, end)
}

/** Whether bytes are a field value: no control characters, no space at either end (RFC 9113 §8.2.1, RFC 9110 §5.5). */
export function isFieldValue(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end) return true
  for (let p = start; p < end; p++) if ((classes[bytes[p]!]! & VALUE) === 0) return false
  const first = bytes[start]
  const last = bytes[end - 1]
  return first !== 32 && first !== 9 && last !== 32 && last !== 9
}
