import { z } from 'zod'
import { fault, warning } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import { isDnsLabel } from './host-name.ts'
import { faultsOf } from './issue.ts'
import { nearest } from './edit-distance.ts'
import type { ResourceKind } from './kind.ts'
import { nameComplaint, objectMeta } from './metadata.ts'
import type { ResourceObject } from './object.ts'
import { objectName } from './object.ts'
import { apiVersionOf, belongsToCluster, kindByName, kindOf, kinds, splitApiVersion } from './registry.ts'

/** An object that its kind's rules let through, with warnings; or what they have against it, all at once. `skipped`: not for a mesh, which is no error. */
export type Parsed =
  | { readonly object: ResourceObject; readonly kind: ResourceKind; readonly faults: readonly Fault[] }
  | { readonly object: undefined; readonly kind: ResourceKind | undefined; readonly faults: readonly Fault[]; readonly skipped: boolean }

/** Deeper than any object of a known kind; a bound for what walks values. */
const DEPTH_MAX = 64

/** A value, fresh from JSON or YAML, judged by the schema and the checks of its kind. Members that are null count as absent, as in proto JSON. Defaults are not filled in. */
export function parseObject(given: unknown, options: { readonly defaultNamespace?: string } = {}): Parsed {
  const value = withMeshHead(given)
  const head = z.object({ apiVersion: z.string(), kind: z.string() }).safeParse(value)
  if (!head.success) {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return refused(undefined, [fault('object.unreadable', { path: '', rule: 'an object with apiVersion, kind and metadata' })])
    const missing = (['apiVersion', 'kind'] as const).filter((field) => typeof (value as Record<string, unknown>)[field] !== 'string')
    return refused(undefined, missing.map((field) => fault('object.field-required', { path: field, rule: 'needed: text' })))
  }
  const { apiVersion, kind: kindName } = head.data
  const kind = kindOf(apiVersion, kindName)
  if (kind === undefined) return unknownKind(apiVersion, kindName)
  if (depthOf(value) > DEPTH_MAX) return refused(kind, [fault('object.unreadable', { path: '', rule: `nested at most ${DEPTH_MAX} deep` })])
  const bare = withoutNulls(value) as Record<string, unknown>
  const { apiVersion: _, kind: __, metadata, status, ...fields } = bare
  const faults: Fault[] = []
  const meta = objectMeta.safeParse(metadata ?? {})
  if (!meta.success) faults.push(...faultsOf(prefixed(meta.error.issues, 'metadata'), z.object({ metadata: objectMeta }), bare))
  else faults.push(...nameFaults(kind, meta.data, options))
  const body = kind.fields.safeParse(fields)
  if (!body.success) faults.push(...faultsOf(body.error.issues, kind.fields, bare, kind.secretFields))
  const metaValue = meta.success ? withNamespace(kind, meta.data, options.defaultNamespace) : undefined
  const name = typeof metaValue?.name === 'string' ? objectName({ kind: kindName, metadata: { ...metaValue, name: metaValue.name } }) : undefined
  if (!body.success || metaValue === undefined) return refused(kind, named(faults, name))
  const object: ResourceObject = {
    apiVersion,
    kind: kindName,
    metadata: { ...metaValue, name: metaValue.name ?? '' },
    ...(body.data as Record<string, unknown>),
    ...(status === undefined ? {} : { status }),
  }
  faults.push(...kind.check(object as ResourceObject & Record<string, unknown>))
  if (faults.some((one) => one.severity === 'error')) return refused(kind, named(faults, name))
  return { object, kind, faults: named(faults, name) }
}

// Istio's mesh file and networks file have neither apiVersion nor name, and there is one of each in a mesh.
function withMeshHead(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || !('kind' in value) || 'apiVersion' in value) return value
  return value.kind === 'MeshConfig' || value.kind === 'MeshNetworks' ? { apiVersion: 'weft.dev/v1', metadata: { name: 'default' }, ...value } : value
}

function refused(kind: ResourceKind | undefined, faults: readonly Fault[], skipped = false): Parsed {
  return { object: undefined, kind, faults, skipped }
}

const named = (faults: readonly Fault[], resource: string | undefined): Fault[] => faults.map((one) => (resource === undefined ? one : { ...one, resource }))

function unknownKind(apiVersion: string, kindName: string): Parsed {
  if (belongsToCluster(apiVersion, kindName)) {
    return refused(undefined, [warning('object.skipped', { path: 'kind', value: kindName, rule: `${kindName} (${apiVersion}) belongs to a cluster, not to a mesh; it is left out` })], true)
  }
  const { group } = splitApiVersion(apiVersion)
  const sameKind = kindByName(group, kindName)
  if (sameKind !== undefined) {
    return refused(undefined, [fault('object.kind', { path: 'apiVersion', value: apiVersion, rule: `${kindName} is served at ${sameKind.versions.map((version) => apiVersionOf(sameKind, version)).join(', ')}` })])
  }
  const elsewhere = kinds.find((one) => one.kind === kindName)
  const meant = elsewhere?.kind ?? nearest(kindName, kinds.map((one) => one.kind))
  const known = kinds.find((one) => one.kind === meant)
  return refused(undefined, [
    fault('object.kind', {
      path: elsewhere === undefined ? 'kind' : 'apiVersion',
      value: elsewhere === undefined ? kindName : apiVersion,
      rule: `a kind that Weft stores`,
      ...(known === undefined ? { hint: `known: ${kinds.map((one) => one.kind).join(', ')}` } : { hint: `did you mean ${known.kind} (${apiVersionOf(known)})?` }),
    }),
  ])
}

type Meta = z.infer<typeof objectMeta>

function withNamespace(kind: ResourceKind, meta: Meta, defaultNamespace: string | undefined): Meta {
  if (!kind.namespaced) {
    const { namespace: _, ...rest } = meta
    return rest
  }
  return meta.namespace || defaultNamespace === undefined ? meta : { ...meta, namespace: defaultNamespace }
}

function nameFaults(kind: ResourceKind, meta: Meta, options: { defaultNamespace?: string }): Fault[] {
  const faults: Fault[] = []
  if (!meta.name) {
    if (!meta.generateName) faults.push(fault('object.name', { path: 'metadata.name', rule: 'needed: the name of the object' }))
  } else {
    // The Kubernetes-style API refuses capitals on its own account; files that Istio takes are taken.
    const complaint = nameComplaint(kind.kind, meta.name, kind.group !== '')
    if (complaint !== undefined) faults.push(fault('object.name', { path: 'metadata.name', value: meta.name, rule: complaint }))
  }
  if (!kind.namespaced) return faults
  if (!meta.namespace) {
    if (options.defaultNamespace === undefined) faults.push(fault('object.name', { path: 'metadata.namespace', rule: 'needed: the namespace of the object' }))
  } else if (!isDnsLabel(meta.namespace)) faults.push(fault('object.name', { path: 'metadata.namespace', value: meta.namespace, rule: 'a DNS label: small letters, digits and dashes, at most 63' }))
  return faults
}

const prefixed = (issues: readonly z.core.$ZodIssue[], first: string): z.core.$ZodIssue[] => issues.map((issue) => ({ ...issue, path: [first, ...issue.path] }))

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (value === null || typeof value !== 'object') return value
  const kept: Record<string, unknown> = {}
  for (const [name, one] of Object.entries(value)) {
    if (one === null || one === undefined) continue
    // A plain assignment to __proto__ would set the prototype instead of a member that the schema can refuse.
    Object.defineProperty(kept, name, { value: withoutNulls(one), enumerable: true, writable: true, configurable: true })
  }
  return kept
}

function depthOf(value: unknown): number {
  let deepest = 0
  const open: { at: unknown; depth: number }[] = [{ at: value, depth: 0 }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next.at === null || typeof next.at !== 'object') continue
    deepest = Math.max(deepest, next.depth + 1)
    if (deepest > DEPTH_MAX) return deepest
    for (const child of Object.values(next.at)) open.push({ at: child, depth: next.depth + 1 })
  }
  return deepest
}
