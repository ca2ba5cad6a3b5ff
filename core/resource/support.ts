import { z } from 'zod'
import { warning } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import type { ResourceKind } from './kind.ts'
import type { ResourceObject } from './object.ts'
import { objectName } from './object.ts'
import { unwrapped } from './schema-walk.ts'
import { actingFields } from './support-fields.ts'

/** What acts on a field: both kinds of proxy, one alone, or nothing yet. */
export type Support = 'sidecar and Envoy' | 'sidecar' | 'Envoy' | 'none'

/**
 * Fields that one kind of proxy alone carries out; the other is not sent them, or refuses them by name. By kind, as paths of `schemaFields`.
 */
const ALONE: Readonly<Record<string, Readonly<Partial<Record<'sidecar' | 'Envoy', readonly string[]>>>>> = {
  // The bundled proxy counts by service and by nothing else.
  'VirtualService.networking.istio.io': { Envoy: ['spec.http[].match[].statPrefix'] },
  // Stock Envoys have none of Istio's metrics.
  'Telemetry.telemetry.istio.io': { sidecar: ['spec.metrics'] },
  // Weft's own proxies have no filter state, and keep no trailers.
  'MeshConfig.weft.dev': { Envoy: ['envoyHttpAls', 'envoyTcpAls'].map((one) => `spec.extensionProviders[].${one}.filterStateObjectsToLog`).concat('spec.extensionProviders[].envoyHttpAls.additionalResponseTrailersToLog') },
  // Weft's own proxies run neither modules nor scripts.
  'WasmPlugin.extensions.istio.io': { Envoy: ['spec'] },
  'TrafficExtension.extensions.istio.io': { Envoy: ['spec'] },
}

/** Fields that are looked at and carried out by no proxy. */
const PASSED_OVER: Readonly<Record<string, readonly string[]>> = {
  // The oldest Envoy that counts has no budget over time, and the bundled one none either.
  'XBackendTrafficPolicy.gateway.networking.x-k8s.io': ['spec.retryConstraint.budget.interval'],
  // A sidecar has its certificates in files: these are refused there, and read where a Gateway has them as well.
  'Sidecar.networking.istio.io': ['spec.ingress[].tls.credentialName', 'spec.ingress[].tls.credentialNames', 'spec.ingress[].tls.subjectAltNames'],
}

/** Kinds that only hold what others refer to, or that exist for their name: none of their fields is inert by itself. */
const HOLDERS = new Set(['Namespace', 'ServiceAccount', 'ConfigMap', 'Service', 'Secret'])

const kindWord = (kind: Pick<ResourceKind, 'group' | 'kind'>): string => (kind.group === '' ? kind.kind : `${kind.kind}.${kind.group}`)
const acting = new Map(Object.entries(actingFields).map(([word, paths]) => [word, new Set(paths)]))

/** What acts on the field at `path`, such as `spec.http[].timeout`. */
export function supportOf(kind: Pick<ResourceKind, 'group' | 'kind'>, path: string): Support {
  const word = kindWord(kind)
  if (acting.get(word)?.has(path) !== true || PASSED_OVER[word]?.includes(path) === true) return 'none'
  const within = (one: string): boolean => path === one || ['.', '[', '{'].some((next) => path.startsWith(`${one}${next}`))
  if (ALONE[word]?.sidecar?.some(within) === true) return 'sidecar'
  return ALONE[word]?.Envoy?.some(within) === true ? 'Envoy' : 'sidecar and Envoy'
}

/** Whether anything acts on any field of the kind. */
export const isSupported = (kind: Pick<ResourceKind, 'group' | 'kind'>): boolean => HOLDERS.has(kindWord(kind)) || (acting.get(kindWord(kind))?.size ?? 0) > 0

/** Whether nothing need act on the kind's fields: it holds values that other objects use. */
export const isHolder = (kind: Pick<ResourceKind, 'group' | 'kind'>): boolean => HOLDERS.has(kindWord(kind))

/**
 * Warnings 'object.field-inert' for the fields of an object on which nothing acts yet, each named once at the outermost place.
 * They do not belong to an object's verdict: it is right, and waits for Weft.
 */
export function inertFields(kind: ResourceKind, object: ResourceObject): Fault[] {
  if (isHolder(kind)) return []
  const resource = objectName(object)
  if (!isSupported(kind)) return [warning('object.field-inert', { path: 'spec', rule: `nothing acts on ${kind.kind} yet; it is kept as it is`, resource })]
  const found: Fault[] = []
  walk(kind, kind.fields, object, '', '', (path) => found.push(warning('object.field-inert', { path, rule: 'nothing acts on this field yet; it is kept as it is', resource })))
  return found
}

function walk(kind: ResourceKind, schema: z.core.$ZodType, value: unknown, path: string, pattern: string, inert: (path: string) => void): void {
  const bare = unwrapped(schema)
  if (value === null || typeof value !== 'object') return
  if (bare instanceof z.core.$ZodArray && Array.isArray(value)) {
    for (const [index, one] of value.entries()) walk(kind, bare._zod.def.element, one, `${path}[${index}]`, `${pattern}[]`, inert)
  } else if (bare instanceof z.core.$ZodRecord) {
    for (const [name, one] of Object.entries(value)) walk(kind, bare._zod.def.valueType, one, `${path}.${name}`, `${pattern}{}`, inert)
  } else if (bare instanceof z.core.$ZodObject) {
    for (const [name, inner] of Object.entries(bare._zod.def.shape)) {
      const one = (value as Readonly<Record<string, unknown>>)[name]
      if (one === undefined) continue
      const at = path === '' ? name : `${path}.${name}`
      const place = pattern === '' ? name : `${pattern}.${name}`
      if (supportOf(kind, place) === 'none') inert(at)
      else walk(kind, inner, one, at, place, inert)
    }
  }
}
