import type { ResourceObject } from '#core/resource/object.ts'
import { Refusal } from './refusal.ts'
import { failure } from './status.ts'

/** What of objects an answer holds: the whole, kubectl's table, or the metadata alone. */
export type Form = { readonly as: 'object' } | { readonly as: 'Table' | 'PartialObjectMetadata'; readonly version: 'v1' | 'v1beta1' }

const READABLE = new Set(['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'])
const PATCHES = ['application/json-patch+json', 'application/merge-patch+json', 'application/apply-patch+yaml']
const STRATEGIC = 'application/strategic-merge-patch+json'

export const typeOf = (header: string): string => (header.split(';')[0] ?? '').trim().toLowerCase()

/** The first offer of an Accept header that can be met (RFC 9110 §12.5.1, by order alone, as Kubernetes does). @throws Refusal 406 */
export function formOf(accept: string | undefined): Form {
  if (accept === undefined || accept.trim() === '') return { as: 'object' }
  for (const offer of accept.split(',')) {
    const type = typeOf(offer)
    if (type !== 'application/json' && type !== '*/*' && type !== 'application/*') continue
    const as = /;\s*as=([A-Za-z]+)/.exec(offer)?.[1]
    if (as === undefined) return { as: 'object' }
    const version = /;\s*v=(v1beta1|v1)\b/.exec(offer)?.[1]
    if (!offer.includes('g=meta.k8s.io') || version === undefined) continue
    const shape = as === 'PartialObjectMetadataList' ? 'PartialObjectMetadata' : as
    if (shape === 'Table' || shape === 'PartialObjectMetadata') return { as: shape, version: version === 'v1' ? 'v1' : 'v1beta1' }
  }
  throw new Refusal(failure(406, 'NotAcceptable', 'only the following media types are accepted: application/json'))
}

/** @throws Refusal 415 for a body that nobody here reads */
export function readableType(contentType: string): string {
  const type = typeOf(contentType)
  if (READABLE.has(type)) return type
  throw unsupported([...READABLE])
}

/** The language of a patch; strategic merge is for kinds that Kubernetes has itself. @throws Refusal 415 */
export function patchType(contentType: string, core: boolean): string {
  const type = typeOf(contentType)
  if (PATCHES.includes(type) || (core && type === STRATEGIC)) return type
  throw unsupported(core ? [...PATCHES, STRATEGIC] : PATCHES)
}

const unsupported = (known: readonly string[]): Refusal => new Refusal(failure(415, 'UnsupportedMediaType', `the body of the request was in an unknown format - accepted media types include: ${known.join(', ')}`))

export function metadataOf(object: ResourceObject, version: string) {
  return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${version}`, metadata: object.metadata }
}
