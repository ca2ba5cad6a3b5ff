import type { Fault } from '../fault/fault.ts'

/** What a reader makes of one resource: a plan, or everything that keeps it from being one, for the NACK. */
export type Read<T> = { readonly ok: true; readonly plan: T } | { readonly ok: false; readonly faults: Fault[] }
