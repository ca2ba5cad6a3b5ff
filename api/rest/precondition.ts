import { createHash } from 'node:crypto'
import { fault, Faults } from '#core/fault/fault.ts'
import type { RestRequest } from './route.ts'

/** The ETag of a JSON answer: by its text, so that it is the same from every replica (RFC 9110 §8.8.3). */
export const entityTag = (text: string): string => `"${createHash('sha256').update(text).digest('base64url')}"`

/**
 * Lets a write pass that was made for this representation, or for none in particular (RFC 9110 §13.1.1). Call it under the lock of what is written.
 * @param now what a GET would answer
 * @throws Faults 'request.precondition' (412)
 */
export function ifMatch(request: RestRequest, now: unknown): void {
  const wanted = request.header('if-match')
  if (wanted === undefined) return
  const tags = wanted.split(',').map((one) => one.trim())
  // A weak tag never matches here.
  if (tags.includes('*') || tags.includes(entityTag(JSON.stringify(now)))) return
  throw new Faults([fault('request.precondition', { path: 'If-Match', value: wanted.slice(0, 200), rule: 'the ETag of what is there now', hint: 'read it again and apply your change to that' })])
}
