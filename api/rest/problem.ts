import type { Problem } from '#core/contract/problem.ts'
import type { FaultCode } from '#core/fault/codes.ts'
import { faultCodes } from '#core/fault/codes.ts'
import { describeFault, fault, Faults } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import { StoreBound, StoreConflict, StoreDuplicate, StoreText, StoreUnavailable } from '#db/store.ts'
import { quotaFaultOf } from '../access/quota.ts'

/** Codes that decide the status, the gravest first; all others are 422: read, understood, and wrong. */
const STATUS: readonly (readonly [FaultCode, number])[] = [
  ['access.unauthenticated', 401],
  ['access.rate-limited', 429],
  ['access.forbidden', 403],
  ['access.quota', 403],
  ['object.not-found', 404],
  ['request.too-large', 413],
  ['request.precondition', 412],
  ['request.invalid', 400],
  ['object.unreadable', 400],
  ['object.conflict', 409],
  ['access.issuer', 502],
]

/** A thrown thing as a problem document; undefined for a defect of ours. */
export function problemOf(error: unknown): Problem | undefined {
  if (error instanceof Faults) return ofFaults(error.faults)
  if (error instanceof StoreConflict) {
    const name = `${error.key.kind}/${error.key.namespace === '' ? '' : `${error.key.namespace}/`}${error.key.name}`
    return ofFaults([fault('object.conflict', { path: 'metadata.resourceVersion', value: error.storedVersion, rule: 'the version that is stored', hint: 'read it again and apply your change to that', resource: name })])
  }
  if (error instanceof StoreBound) {
    const told = quotaFaultOf(error)
    return told instanceof Faults ? ofFaults(told.faults) : undefined
  }
  if (error instanceof StoreText) return ofFaults([fault('request.invalid', { path: '', rule: error.message })])
  if (error instanceof StoreDuplicate) return ofFaults([fault('object.conflict', { path: 'name', rule: error.message })])
  if (error instanceof StoreUnavailable) return { type: 'about:blank', title: 'Service Unavailable', status: 503, detail: error.message }
  return undefined
}

function ofFaults(faults: readonly Fault[]): Problem {
  const errors = faults.filter((one) => one.severity === 'error')
  const told = errors.length > 0 ? errors : faults
  const decisive = STATUS.find(([code]) => told.some((one) => one.code === code))
  const first = told.find((one) => one.code === decisive?.[0]) ?? told[0]
  const code = first?.code ?? 'request.invalid'
  return {
    type: `urn:weft:problem:${code}`,
    title: faultCodes[code],
    status: decisive?.[1] ?? 422,
    detail: told.length === 1 && first ? describeFault(first) : `${told.length} findings; the first: ${first ? describeFault(first) : ''}`,
    errors: faults.map((one) => ({ ...one })),
  }
}
