import type { Fault, Faults } from '#core/fault/fault.ts'
import { describeFault } from '#core/fault/fault.ts'
import type { FaultCode } from '#core/fault/codes.ts'
import type { ResourceKind } from '#core/resource/kind.ts'

/** Kubernetes' Status, the body of every failure. */
export interface Status {
  readonly kind: 'Status'
  readonly apiVersion: 'v1'
  readonly metadata: Record<string, never>
  readonly status: 'Failure' | 'Success'
  readonly message?: string
  readonly reason?: string
  readonly details?: { readonly name?: string; readonly group?: string; readonly kind?: string; readonly uid?: string; readonly causes?: readonly { reason: string; message: string; field: string }[]; readonly retryAfterSeconds?: number }
  readonly code: number
}

export interface StatusAbout {
  readonly kind?: ResourceKind
  readonly name?: string
}

export function failure(code: number, reason: string, message: string, about: StatusAbout = {}, causes?: readonly { reason: string; message: string; field: string }[]): Status {
  const details = {
    ...(about.name ? { name: about.name } : {}),
    ...(about.kind?.group ? { group: about.kind.group } : {}),
    // Kubernetes names the kind where an object is invalid, and the plural elsewhere.
    ...(about.kind ? { kind: reason === 'Invalid' ? about.kind.kind : about.kind.plural } : {}),
    ...(causes && causes.length > 0 ? { causes } : {}),
  }
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, ...(Object.keys(details).length > 0 ? { details } : {}), code }
}

const resourceWord = (about: StatusAbout): string => (about.kind ? (about.kind.group ? `${about.kind.plural}.${about.kind.group}` : about.kind.plural) : 'objects')

export const notFound = (about: StatusAbout): Status => failure(404, 'NotFound', `${resourceWord(about)} ${JSON.stringify(about.name ?? '')} not found`, about)
export const alreadyExists = (about: StatusAbout): Status => failure(409, 'AlreadyExists', `${resourceWord(about)} ${JSON.stringify(about.name ?? '')} already exists`, about)
export const conflicted = (about: StatusAbout): Status =>
  failure(409, 'Conflict', `Operation cannot be fulfilled on ${resourceWord(about)} ${JSON.stringify(about.name ?? '')}: the object has been modified; please apply your changes to the latest version and try again`, about)
export const expired = (): Status => failure(410, 'Expired', 'The resourceVersion is too old: list again, and watch from there')
export const badRequest = (message: string): Status => failure(400, 'BadRequest', message)

/** The cause's reason in Kubernetes' words, so that clients which look at them know what they have. */
const CAUSES: Partial<Record<FaultCode, string>> = {
  'object.field-required': 'FieldValueRequired',
  'object.field-type': 'FieldValueTypeInvalid',
  'object.field-unknown': 'FieldValueForbidden',
  'object.field-conflict': 'FieldValueForbidden',
}

/** All faults as one Status; the gravest decides the code. */
export function statusOfFaults(thrown: Faults, about: StatusAbout = {}): Status {
  const errors = thrown.faults.filter((one) => one.severity === 'error')
  const first = (errors.length > 0 ? errors : thrown.faults)[0]
  const has = (code: FaultCode): Fault | undefined => errors.find((one) => one.code === code)
  if (first === undefined) return failure(500, 'InternalError', 'an error without a reason', about)
  if (has('access.unauthenticated')) return failure(401, 'Unauthorized', words(first))
  if (has('access.rate-limited')) return failure(429, 'TooManyRequests', words(first))
  if (has('access.quota')) return failure(403, 'Forbidden', words(first), about)
  if (has('access.forbidden')) return failure(403, 'Forbidden', words(first), about)
  if (has('object.not-found')) return failure(404, 'NotFound', words(first), about)
  if (has('object.conflict')) return failure(409, 'Conflict', words(first), about)
  if (has('request.too-large')) return failure(413, 'RequestEntityTooLarge', words(first), about)
  const missing = has('object.namespace-missing')
  if (missing && errors.length === 1) return { ...failure(404, 'NotFound', missing.rule), details: { name: String(missing.value), kind: 'namespaces' } }
  if (has('object.unreadable') || has('request.invalid') || has('object.kind')) return failure(400, 'BadRequest', errors.map(describeFault).join('; '), about)
  const causes = errors.map((one) => ({ reason: CAUSES[one.code] ?? 'FieldValueInvalid', message: words(one), field: one.path }))
  const list = errors.map(describeFault)
  const message = `${about.kind ? `${about.kind.kind}${about.kind.group ? `.${about.kind.group}` : ''}` : 'object'} ${JSON.stringify(about.name ?? '')} is invalid: ${list.length === 1 ? list[0] : `[${list.join(', ')}]`}`
  return failure(422, 'Invalid', message, about, causes)
}

const words = (one: Fault): string => `${one.value === undefined ? '' : `Invalid value: ${JSON.stringify(one.value)}: `}${one.rule}${one.hint === undefined ? '' : ` (${one.hint})`}`
