import { CHUNKED, LENGTH, NO_BODY } from '../body.ts'
import { EXPECT, HOST, PROXY_AUTHORIZATION } from '../field-kind.ts'
import { isToken } from '../head-scan.ts'
import { isAuthority, problems } from '../request-head.ts'
import type { HeadProblem, HttpRequestHead } from '../request-head.ts'
import type { HeadBlock } from './head-block.ts'

/** What may stand in a request line: a space or a control byte would be another request to an HTTP/1.1 server behind us. */
const TARGET = /^[\x21-\x7e\x80-\xff]+$/

/** The stream is in error (RFC 9113 §8.1.1): no answer is owed. */
export const MALFORMED: HeadProblem = { status: 400, details: 'http2.violation.of.messaging.rule' }

/** Fills a request's head from its field section, whose lines are in `head.fields` already (RFC 9113 §8.3.1, RFC 8441 §4). Undefined when the head is good. */
export function readRequest(head: HttpRequestHead, block: HeadBlock, ends: boolean): HeadProblem | undefined {
  const { fields } = head
  const { count, kinds } = fields
  head.forgetDecisions()
  head.closes = false
  head.upgrade = ''
  head.expectsContinue = false
  head.authority = block.authority ?? ''
  head.method = block.method
  head.path = block.path
  head.target = block.path
  if (block.tooLarge) return problems.tooLarge
  if (head.dropped.length < count) head.dropped = new Uint8Array(kinds.length)
  const { dropped } = head
  dropped.fill(0, 0, count)
  let { authority } = block
  for (let i = 0; i < count; i++) {
    const kind = kinds[i]!
    if (kind === HOST) {
      const host = fields.value(i)
      if (authority !== undefined && host !== authority) return MALFORMED
      authority = host
      dropped[i] = 1
    } else if (kind === EXPECT) {
      if (fields.value(i).toLowerCase() === '100-continue') head.expectsContinue = true
      dropped[i] = 1
    } else if (kind === PROXY_AUTHORIZATION) dropped[i] = 1
  }
  head.authority = authority ?? ''
  const connects = block.method === 'CONNECT'
  if (!isToken(block.method) || (block.protocol !== '' && !connects)) return MALFORMED
  if (connects && block.protocol === '') {
    // A length would be of the tunnel's bytes (RFC 9110 §9.3.6).
    if (block.path !== '' || block.scheme !== '' || block.contentLength > 0) return MALFORMED
  } else if (block.path === '' || block.scheme === '') return MALFORMED
  else if (!TARGET.test(block.path) || block.path.includes('#') || (block.path.charCodeAt(0) !== 47 && !(block.path === '*' && block.method === 'OPTIONS'))) return problems.target
  if (block.protocol !== '') {
    // A length would go on beside `upgrade`, and a server that does not switch would take so much of the next request for a body.
    if (!isToken(block.protocol) || block.contentLength > 0) return MALFORMED
    // Routes and servers know it as HTTP/1.1 has it.
    head.method = 'GET'
    head.upgrade = block.protocol.toLowerCase()
  }
  head.framing = ends || block.contentLength === 0 || head.upgrade !== '' || connects ? NO_BODY : block.contentLength > 0 ? LENGTH : CHUNKED
  head.bodyLength = head.framing === LENGTH ? block.contentLength : 0
  return isAuthority(head.authority) ? undefined : problems.host
}
