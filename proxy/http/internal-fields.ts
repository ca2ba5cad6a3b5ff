/* oxlint-disable typescript/no-non-null-assertion -- every index stays within its typed array: the loops are bounded by it */
import { OTHER, REQUEST_ID } from './field-kind.ts'
import type { HttpRequestHead } from './request-head.ts'

/** What proxies of one mesh tell each other, and no client may say (Envoy, ConnectionManagerUtility::cleanInternalHeaders). */
const INTERNAL = new Set(
  [
    'expected-rq-timeout-ms', 'force-trace', 'hedge-on-per-try-timeout', 'internal', 'ip-tags', 'max-retries', 'original-url', 'peer-metadata', 'retriable-header-names', 'retriable-status-codes', 'retry-grpc-on',
    'retry-on', 'upstream-alt-stat-name', 'upstream-rq-per-try-timeout-ms', 'upstream-rq-timeout-alt-response', 'upstream-rq-timeout-ms',
  ].map((name) => `x-envoy-${name}`),
)
/** What besides comes from the edge of the mesh or from behind it: a client's own would be taken for the edge's. */
const OF_THE_EDGE = new Set(['decorator-operation', 'downstream-service-cluster', 'downstream-service-node', 'external-address', 'original-host', 'original-path'].map((name) => `x-envoy-${name}`))

const X = 0x78
const E = 0x65
const PREFIX_LENGTH = 'x-envoy-'.length

/**
 * Takes away what a client may not say, before anything is decided by it. At an edge (who called is what the connection says) that is more, and the request gets an id of its own,
 * as Envoy gives it without `preserve_external_request_id`.
 */
export function dropInternalFields(head: HttpRequestHead, edge: boolean): void {
  const { fields, dropped } = head
  const { at, count, kinds, text } = fields
  for (let i = 0; i < count; i++) {
    if (kinds[i] === REQUEST_ID && edge) drop(head, i, 'x-request-id')
    if (kinds[i] !== OTHER || dropped[i] !== 0) continue
    const start = at[4 * i]!
    if (at[4 * i + 1]! - start <= PREFIX_LENGTH || (text.charCodeAt(start) | 0x20) !== X || (text.charCodeAt(start + 2) | 0x20) !== E) continue
    const name = fields.name(i).toLowerCase()
    if (INTERNAL.has(name) || (edge && OF_THE_EDGE.has(name))) drop(head, i, name)
  }
}

function drop(head: HttpRequestHead, index: number, lowerName: string): void {
  head.dropped[index] = 1
  // Nobody finds it by its kind either.
  head.fields.kinds[index] = OTHER
  head.overwrite(lowerName, undefined)
}
