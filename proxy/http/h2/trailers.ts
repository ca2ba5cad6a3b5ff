import { CONNECTION, CONTENT_LENGTH, EXPECT, HOST, OTHER, PROXY_AUTHORIZATION, TE, TRAILER, UPGRADE } from '../field-kind.ts'
import type { FieldTable } from '../head-scan.ts'
import { COOKIE } from './field.ts'

/** Framing, routing and authentication do not come last (RFC 9110 §6.5.1). */
const forbidden = new Set(['authorization', 'cookie', 'set-cookie', 'content-encoding', 'content-type', 'content-range'])
const forbiddenKinds = new Set<number>([HOST, CONTENT_LENGTH, CONNECTION, UPGRADE, TE, EXPECT, TRAILER, PROXY_AUTHORIZATION])

/** The lines of a trailer section, without those that must not be there. */
export function trailerLines(fields: FieldTable): string {
  let lines = ''
  for (let i = 0; i < fields.count; i++) {
    const kind = fields.kinds[i]!
    if (kind === OTHER || kind === COOKIE ? forbidden.has(fields.name(i)) : forbiddenKinds.has(kind)) continue
    lines += fields.text.slice(fields.lineStart(i), fields.lineStart(i + 1))
  }
  return lines
}
