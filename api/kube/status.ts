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
  readonly details?: { readonly name?: string; readonly group?: string; readonly kind?: string; readonly uid?: string; readonly causes?: readonly { readonly reason: string; readonly message: string; readonly field?: string }[]; readonly retryAfterSeconds?: number }
  readonly code: number
}

export interface StatusAbout {
  readonly kind?: ResourceKind
  readonly name?: string
}

export function failure(code: number, reason: string, message: string, about: StatusAbout = {}, causes?: readonly OptionsCause[]): Status {
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
/** Of a deletion whose preconditions do not hold: there, and only there, Kubernetes names the kind. */
export const preconditionFailed = (about: StatusAbout, what: string): Status => {
  const status = failure(409, 'Conflict', `Operation cannot be fulfilled on ${resourceWord(about)} ${JSON.stringify(about.name ?? '')}: Precondition failed: ${what}`, about)
  return { ...status, details: { ...status.details, ...(about.kind ? { kind: about.kind.kind } : {}) } }
}

export interface OptionsCause {
  readonly reason: string
  readonly field: string
  readonly message: string
}

/** Parameters of a request that are none, or do not go together. */
export function invalidOptions(kind: string, causes: readonly OptionsCause[]): Status {
  const list = causes.map((one) => `${one.field}: ${one.message}`)
  return { ...failure(422, 'Invalid', `${kind}.meta.k8s.io "" is invalid: ${list.length === 1 ? list[0] : `[${list.join(', ')}]`}`), details: { group: 'meta.k8s.io', kind, causes } }
}

/** The reader has seen a version that is not there yet, or never will be. */
export const tooNew = (wanted: number, revision: number): Status => ({
  ...failure(504, 'Timeout', `Too large resource version: ${wanted}, current: ${revision}`),
  details: { causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }], retryAfterSeconds: 1 },
})

/** Something of the object is wrong that its kind's rules do not judge. */
export function invalidObject(about: StatusAbout, causes: readonly OptionsCause[]): Status {
  const list = causes.map((one) => `${one.field}: ${one.message}`)
  return failure(422, 'Invalid', `${about.kind ? `${about.kind.kind}${about.kind.group ? `.${about.kind.group}` : ''}` : 'object'} ${JSON.stringify(about.name ?? '')} is invalid: ${list.length === 1 ? list[0] : `[${list.join(', ')}]`}`, about, causes)
}

export const badRequest = (message: string): Status => failure(400, 'BadRequest', message)

/** The cause's reason in Kubernetes' words, so that clients which look at them know what they have. */
const CAUSES: Partial<Record<FaultCode, string>> = {
  'object.field-required': 'FieldValueRequired',
  'object.field-type': 'FieldValueTypeInvalid',
  'object.field-unknown': 'FieldValueForbidden',
  'object.field-conflict': 'FieldValueForbidden',
}

/** A name that is not there at all is missing, and not wrong. */
const causeOf = (one: Fault): string => (one.code === 'object.name' && one.value === undefined ? 'FieldValueRequired' : (CAUSES[one.code] ?? 'FieldValueInvalid'))

/** All faults as one Status; the gravest decides the code. `of` names the object where the path does; a new one is named by its faults. */
export function statusOfFaults(thrown: Faults, of: StatusAbout = {}): Status {
  const errors = thrown.faults.filter((one) => one.severity === 'error')
  const first = (errors.length > 0 ? errors : thrown.faults)[0]
  const about = of.name || first?.resource === undefined ? of : { ...of, name: first.resource.split('/').at(-1) ?? '' }
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
  if (has('object.unreadable') || has('request.invalid') || has('object.kind')) return badRequest(errors.map(describeFault).join('; '))
  const causes = errors.map((one) => ({ reason: causeOf(one), message: words(one), field: one.path.replace(/^(metadata\.(?:labels|annotations)).*/, '$1') }))
  const list = errors.map(describeFault)
  const message = `${about.kind ? `${about.kind.kind}${about.kind.group ? `.${about.kind.group}` : ''}` : 'object'} ${JSON.stringify(about.name ?? '')} is invalid: ${list.length === 1 ? list[0] : `[${list.join(', ')}]`}`
  return failure(422, 'Invalid', message, about, causes)
}

const words = (one: Fault): string => `${one.value === undefined ? '' : `Invalid value: ${JSON.stringify(one.value)}: `}${one.rule}${one.hint === undefined ? '' : ` (${one.hint})`}`
