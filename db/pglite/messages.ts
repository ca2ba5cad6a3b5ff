import type { Statement } from '../driver.ts'

/** What the main thread and PGlite's thread say to each other. */
export type Request =
  | { readonly id: number; readonly pipeline: readonly Statement[] /* sent at once; a failure ends it */ }
  | { readonly id: number; readonly text: string; readonly params: readonly unknown[] | undefined /* undefined: several statements, no rows wanted */; readonly rows: 'array' | 'object' }
  | { readonly id: number; readonly close: true }

export type Reply =
  | { readonly ready: true }
  | { readonly id: number; readonly rows: unknown[] }
  | { readonly id: number; readonly answers: unknown[][] /* of a pipeline: the rows of each statement */ }
  | { readonly id: number | undefined /* undefined: it did not open */; readonly failure: Failure }
  | { readonly channel: string; readonly payload: string }

export interface Failure {
  readonly message: string
  readonly code?: string
  readonly constraint?: string
  readonly table?: string
  readonly routine?: string
}

export interface Opening {
  /** Undefined: in memory. */
  readonly folder: string | undefined
  readonly channels: readonly string[]
}
