import { describeFault, Faults } from '#core/fault/fault.ts'
import { kindByPlural } from '#core/resource/registry.ts'
import { permit, permitNamespace } from '../access/check.ts'
import type { Verb } from '../access/check.ts'
import type { Target } from '../apply/target.ts'

type Json = Readonly<Record<string, unknown>>
const isJson = (value: unknown): value is Json => value !== null && typeof value === 'object' && !Array.isArray(value)

const READING = new Set(['get', 'list', 'watch'])
const WRITING = new Set(['create', 'update', 'patch', 'delete', 'deletecollection'])

/** SelfSubjectAccessReview (authorization.k8s.io/v1), which `kubectl auth can-i` asks: whether the key may do this here, by the rules that would judge the request itself. */
export function accessReview(target: Target, body: unknown): Json {
  const spec = isJson(body) && isJson(body['spec']) ? body['spec'] : {}
  const status = isJson(spec['resourceAttributes']) ? onResources(target, spec['resourceAttributes']) : onPaths(spec['nonResourceAttributes'])
  return { kind: 'SelfSubjectAccessReview', apiVersion: 'authorization.k8s.io/v1', metadata: {}, spec, status }
}

function onPaths(asked: unknown): Json {
  return isJson(asked) && READING.has(String(asked['verb'])) ? { allowed: true } : { allowed: false, reason: 'only documents are found there, and they are for reading' }
}

function onResources({ actor, mesh }: Target, asked: Json): Json {
  const text = (name: string): string => (typeof asked[name] === 'string' ? asked[name] : '')
  const verb = text('verb')
  const kind = kindByPlural(text('group') === '*' ? '' : text('group'), text('resource'))
  const all = text('resource') === '*'
  if (kind === undefined && !all) return { allowed: false, reason: 'the server has no such resource' }
  if (verb !== '*' && !READING.has(verb) && !WRITING.has(verb)) return { allowed: false, reason: 'the server has no such verb' }
  const needed: Verb = READING.has(verb) ? 'read' : 'write'
  try {
    permit(actor, needed, mesh)
    permitNamespace(actor, kind?.namespaced !== false && text('namespace') !== '' ? text('namespace') : undefined)
    return { allowed: true }
  } catch (error) {
    if (!(error instanceof Faults)) throw error
    return { allowed: false, reason: error.faults.map(describeFault).join('; ') }
  }
}
