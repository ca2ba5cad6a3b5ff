import type { FaultCode } from './codes.ts'

/** Something that a user or a peer got wrong, in words for the one who can mend it. Plain data: it travels in problem documents, Status causes and NACKs. */
export interface Fault {
  readonly code: FaultCode
  /** Where: `spec.http[0].route[1].weight`; empty for the whole document. */
  readonly path: string
  /** The offending value, never a secret. */
  readonly value?: unknown
  /** What would have been right: `0..100`. */
  readonly rule: string
  /** What to do about it. */
  readonly hint?: string
  /** `warning` lets the object pass; `error` refuses it. */
  readonly severity: 'error' | 'warning'
  /** The object it concerns, `VirtualService/prod/order-service`, where it is not plain from the context. */
  readonly resource?: string
  /** Where the object was read, for files: 1-based. */
  readonly source?: { readonly file: string; readonly line: number }
}

export function fault(code: FaultCode, about: { path: string; value?: unknown; rule: string; hint?: string; resource?: string }): Fault {
  return { code, severity: 'error', ...about }
}

export function warning(code: FaultCode, about: { path: string; value?: unknown; rule: string; hint?: string; resource?: string }): Fault {
  return { code, severity: 'warning', ...about }
}

/** `spec.http[0].route[1].weight: 150: must be within 0..100 (the weights of one route add up to 100)` */
export function describeFault(one: Fault): string {
  const subject = one.path === '' ? '' : `${one.path}: `
  const value = one.value === undefined ? '' : `${JSON.stringify(one.value)}: `
  return `${subject}${value}${one.rule}${one.hint === undefined ? '' : ` (${one.hint})`}`
}

/** Carries faults, all at once, up to the file that turns them into an answer. */
export class Faults extends Error {
  readonly faults: readonly Fault[]

  constructor(faults: readonly Fault[]) {
    super(faults.map(describeFault).join('; '))
    this.name = 'Faults'
    this.faults = faults
  }
}
