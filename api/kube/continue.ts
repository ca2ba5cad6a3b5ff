import { Refusal } from './refusal.ts'
import { badRequest } from './status.ts'

/** Where a page ended, and the revision of the first one. */
export interface Continue {
  readonly cursor: string
  readonly revision: number
}

export const writeContinue = (token: Continue): string => Buffer.from(JSON.stringify([token.revision, token.cursor])).toString('base64url')

/** @throws Refusal 400 for what no server gave */
export function readContinue(text: string): Continue {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    if (Array.isArray(value) && Number.isSafeInteger(value[0]) && value[0] >= 0 && typeof value[1] === 'string' && !Buffer.from(value[1], 'base64url').includes('\\u0000')) return { revision: value[0], cursor: value[1] }
  } catch {
    // Not a token of ours: answered below.
  }
  throw new Refusal(badRequest('continue key is not valid'))
}
