/* oxlint-disable typescript/no-non-null-assertion -- every index stays within its typed array: the loops are bounded by it */
/** Field names that the data path itself acts upon, as small numbers: found once while the head is scanned, so that nobody compares names again. */
export const OTHER = 0
export const HOST = 1
export const CONTENT_LENGTH = 2
export const TRANSFER_ENCODING = 3
export const CONNECTION = 4
export const KEEP_ALIVE = 5
export const PROXY_CONNECTION = 6
export const UPGRADE = 7
export const TE = 8
export const EXPECT = 9
export const REQUEST_ID = 10
export const TRACEPARENT = 11
export const FORWARDED_FOR = 12
export const FORWARDED_PROTO = 13
export const CLIENT_CERTIFICATE = 14
export const SERVER = 15
export const DATE = 16
export const ATTEMPT_COUNT = 17
export const UPSTREAM_SERVICE_TIME = 18
export const TRAILER = 19
export const PEER_ID = 20
const ORIGIN = 21
const USER_AGENT = 22
const TRACESTATE = 23
export const PROXY_AUTHORIZATION = 24

const names: readonly (readonly [string, number])[] = [
  ['host', HOST],
  ['content-length', CONTENT_LENGTH],
  ['transfer-encoding', TRANSFER_ENCODING],
  ['connection', CONNECTION],
  ['keep-alive', KEEP_ALIVE],
  ['proxy-connection', PROXY_CONNECTION],
  ['upgrade', UPGRADE],
  ['te', TE],
  ['expect', EXPECT],
  ['x-request-id', REQUEST_ID],
  ['traceparent', TRACEPARENT],
  ['x-forwarded-for', FORWARDED_FOR],
  ['x-forwarded-proto', FORWARDED_PROTO],
  ['x-forwarded-client-cert', CLIENT_CERTIFICATE],
  ['server', SERVER],
  ['date', DATE],
  ['x-envoy-attempt-count', ATTEMPT_COUNT],
  ['x-envoy-upstream-service-time', UPSTREAM_SERVICE_TIME],
  ['trailer', TRAILER],
  ['x-envoy-peer-metadata-id', PEER_ID],
  ['origin', ORIGIN],
  ['user-agent', USER_AGENT],
  ['tracestate', TRACESTATE],
  ['proxy-authorization', PROXY_AUTHORIZATION],
]

/** Candidates by length and first letter; no two known names share both, which the constructor of the table checks. */
const LETTERS = 32
const candidates: ({ bytes: Uint8Array; kind: number } | undefined)[] = Array.from({ length: 32 * LETTERS }, () => undefined)
for (const [name, kind] of names) {
  const slot = name.length * LETTERS + (name.charCodeAt(0) & 31)
  if (candidates[slot]) throw new Error(`field names ${name} and another share a slot`)
  candidates[slot] = { bytes: Uint8Array.from(name, (letter) => letter.charCodeAt(0)), kind }
}

/** The kind of the field name in `bytes[start, end)`, in any case; OTHER when it is none of ours. */
export function fieldKind(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start
  if (length > 31) return OTHER
  const candidate = candidates[length * LETTERS + (bytes[start]! & 31)]
  if (candidate === undefined) return OTHER
  const expected = candidate.bytes
  for (let i = 0; i < length; i++) {
    const byte = bytes[start + i]!
    // Letters fold; `-` has bit 0x20 set already.
    if (byte !== expected[i] && (byte | 0x20) !== expected[i]) return OTHER
  }
  return candidate.kind
}

/** The kind of a lower-case field name. */
export function kindOfName(name: string): number {
  for (const [known, kind] of names) if (known === name) return kind
  return OTHER
}
