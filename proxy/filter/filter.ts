import type { Exchange } from '../http/exchange.ts'

/** Go on with the next filter. */
export const CONTINUE = 0
/** The filter answered; nothing more happens. */
export const ANSWERED = 1
/** The filter calls `exchange.resumeFilters()` later. */
export const WAITING = 2

/** Looks at a request before it is forwarded. Makes no closure and no promise where it lets pass. */
export type HttpFilter = (exchange: Exchange) => typeof CONTINUE | typeof ANSWERED | typeof WAITING
