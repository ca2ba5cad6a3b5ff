import type { Propagation } from './ownership.ts'
import { Refusal } from './refusal.ts'
import { badRequest, invalidOptions, tooNew } from './status.ts'
import type { OptionsCause } from './status.ts'

// A request's parameters, judged as Kubernetes judges them: apimachinery's validation of CreateOptions, UpdateOptions, PatchOptions, DeleteOptions and ListOptions.

type Query = (name: string) => string | undefined

const MANAGER_MAX = 128
const VALIDATIONS = ['Ignore', 'Warn', 'Strict']
const PROPAGATIONS = ['Background', 'Foreground', 'Orphan']

const unsupported = (field: string, value: unknown, known: readonly string[]): OptionsCause => ({ reason: 'FieldValueNotSupported', field, message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${known.map((one) => JSON.stringify(one)).join(', ')}` })
const forbidden = (field: string, message: string): OptionsCause => ({ reason: 'FieldValueForbidden', field, message: `Forbidden: ${message}` })

export interface WriteOptions {
  readonly dryRun: boolean
  /** Who writes: the manager of the fields. */
  readonly fieldManager: string
  readonly force: boolean
}

/** @throws Refusal 422 with a cause for each parameter that is none */
export function writeOptions(of: 'CreateOptions' | 'UpdateOptions' | 'PatchOptions' | 'DeleteOptions', query: Query, userAgent: string | undefined, applying = false): WriteOptions {
  const causes: OptionsCause[] = []
  const dryRun = query('dryRun') ?? ''
  if (dryRun !== '' && dryRun !== 'All') causes.push(unsupported('dryRun', dryRun, ['All']))
  const manager = query('fieldManager') ?? ''
  if (manager.length > MANAGER_MAX) causes.push({ reason: 'FieldValueTooLong', field: 'fieldManager', message: `Too long: may not be more than ${MANAGER_MAX} bytes` })
  else if (/[^\x20-\x7e\u00a0-\uffff]/.test(manager)) causes.push({ reason: 'FieldValueInvalid', field: 'fieldManager', message: 'Invalid value: should only contain printable characters' })
  if (applying && manager === '') causes.push({ reason: 'FieldValueRequired', field: 'fieldManager', message: 'Required value: is required for apply patch' })
  const validation = query('fieldValidation') ?? ''
  if (validation !== '' && !VALIDATIONS.includes(validation)) causes.push(unsupported('fieldValidation', validation, VALIDATIONS))
  const force = query('force') === 'true'
  if (of === 'PatchOptions' && !applying && query('force') !== undefined) causes.push(forbidden('force', 'may not be specified for non-apply patch'))
  if (causes.length > 0) throw new Refusal(invalidOptions(of, causes))
  return { dryRun: dryRun === 'All', fieldManager: manager || managerOf(userAgent), force }
}

/** Whoever does not say who it is goes by what its client is called. */
function managerOf(userAgent: string | undefined): string {
  const name = (userAgent ?? '').split('/')[0]?.replaceAll(/[^\x20-\x7e]/g, '').slice(0, MANAGER_MAX) ?? ''
  return name === '' ? 'unknown' : name
}

export interface DeleteOptions {
  readonly dryRun: boolean
  /** Undefined: as the object's finalizers ask, else in the background. */
  readonly propagation?: Propagation
  readonly uid?: string
  readonly resourceVersion?: string
}

/** @param value the body, or undefined without one. @throws Refusal 422 */
export function deleteOptions(value: unknown, query: Query): DeleteOptions {
  const body = value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : {}
  const causes: OptionsCause[] = []
  const dryRuns = Array.isArray(body['dryRun']) ? body['dryRun'] : []
  for (const one of dryRuns) if (one !== 'All') causes.push(unsupported('dryRun', one, ['All']))
  const propagation = body['propagationPolicy'] ?? query('propagationPolicy')
  if (propagation !== undefined && !PROPAGATIONS.includes(String(propagation))) causes.push(unsupported('propagationPolicy', propagation, PROPAGATIONS))
  const orphans = body['orphanDependents']
  if (propagation !== undefined && typeof orphans === 'boolean') causes.push({ reason: 'FieldValueInvalid', field: 'propagationPolicy', message: `Invalid value: ${JSON.stringify(propagation)}: orphanDependents and deletionPropagation cannot be both set` })
  if (causes.length > 0) throw new Refusal(invalidOptions('DeleteOptions', causes))
  const how = typeof orphans === 'boolean' ? (orphans ? 'Orphan' : 'Background') : (propagation as Propagation | undefined)
  const { dryRun } = writeOptions('DeleteOptions', query, undefined)
  const preconditions = body['preconditions']
  const { uid, resourceVersion } = (preconditions !== null && typeof preconditions === 'object' ? preconditions : {}) as Readonly<Record<string, unknown>>
  return { dryRun: dryRun || dryRuns.length > 0, ...(how === undefined ? {} : { propagation: how }), ...(typeof uid === 'string' ? { uid } : {}), ...(typeof resourceVersion === 'string' ? { resourceVersion } : {}) }
}

export interface ListOptions {
  readonly watch: boolean
  readonly limit: number
  readonly continue: string | undefined
  /** Undefined: the newest; 0: any. */
  readonly revision: number | undefined
  readonly match: 'Exact' | 'NotOlderThan' | undefined
  readonly sendInitialEvents: boolean
  readonly timeoutSeconds: number | undefined
  readonly bookmarks: boolean
}

const isOn = (value: string | undefined): boolean => value !== undefined && value !== 'false' && value !== '0'

/** @throws Refusal 400 for what cannot be read, 422 for what does not go together */
export function listOptions(query: Query): ListOptions {
  const watch = isOn(query('watch'))
  const limit = wholeNumber(query, 'limit') ?? 0
  const timeoutSeconds = wholeNumber(query, 'timeoutSeconds')
  const version = query('resourceVersion') || undefined
  const token = query('continue') || undefined
  const match = query('resourceVersionMatch') || undefined
  const initial = query('sendInitialEvents')
  const causes: OptionsCause[] = []
  if (initial !== undefined && !watch) causes.push(forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list'))
  if (watch && isOn(initial) && match !== 'NotOlderThan') causes.push(forbidden('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'))
  if (match !== undefined && match !== 'Exact' && match !== 'NotOlderThan') causes.push(unsupported('resourceVersionMatch', match, ['Exact', 'NotOlderThan']))
  else if (match !== undefined && watch && initial === undefined) causes.push(forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided'))
  else if (match !== undefined && version === undefined && !watch && initial === undefined) causes.push(forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden unless resourceVersion is provided'))
  else if (match === 'Exact' && version === '0') causes.push(forbidden('resourceVersionMatch', 'resourceVersionMatch "Exact" is forbidden for resourceVersion "0"'))
  if (causes.length > 0) throw new Refusal(invalidOptions('ListOptions', causes))
  if (token !== undefined && version !== undefined && version !== '0') throw new Refusal(badRequest('specifying resource version is not allowed when using continue'))
  return { watch, limit: Math.max(0, limit), continue: token, revision: readVersion(version), match: match as ListOptions['match'], sendInitialEvents: isOn(initial), timeoutSeconds, bookmarks: isOn(query('allowWatchBookmarks')) }
}

function wholeNumber(query: Query, name: string): number | undefined {
  const text = query(name)
  if (text === undefined || text === '') return undefined
  if (!/^-?\d{1,15}$/.test(text)) throw new Refusal(badRequest(`${name}: a whole number, and not ${JSON.stringify(text.slice(0, 100))}`))
  return Number(text)
}

/** @throws Refusal 400 */
export function readVersion(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  if (!/^\d{1,19}$/.test(text)) throw new Refusal(badRequest(`resourceVersion: Invalid value: ${JSON.stringify(text.slice(0, 100))}`))
  return Number(text)
}

/** A reader that has seen a newer state than there is has seen another database. @throws Refusal 504 */
export function notBefore(wanted: number | undefined, revision: number): void {
  if (wanted !== undefined && wanted > revision) throw new Refusal(tooNew(wanted, revision))
}
