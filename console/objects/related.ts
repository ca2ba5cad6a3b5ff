import type { ResourceObject } from '#core/resource/object.ts'
import type { TopologyNode } from '#core/contract/topology.ts'

/**
 * Objects that speak of a service: by its host name in full or short, or by standing for it (a Kubernetes Service of that name).
 * A short name counts within its own namespace only, as Istio completes it.
 */
export function relatedObjects(node: Pick<TopologyNode, 'kind' | 'id' | 'name' | 'namespace'>, objects: readonly ResourceObject[]): ResourceObject[] {
  const host = node.kind === 'service' ? node.id.replace(/^service\//, '') : ''
  const short = host.split('.')[0] ?? ''
  return objects.filter((object) => {
    const namespace = object.metadata.namespace ?? ''
    if (object.metadata.name === (node.kind === 'service' ? short : node.name) && namespace === node.namespace) return true
    if (node.kind !== 'service' || host === '') return false
    return mentions(object.spec, (text) => text === host || text === node.name && text.includes('.') || (namespace === node.namespace && text === short) || text === `${short}.${node.namespace}` || text === `${short}.${node.namespace}.svc`)
  })
}

/** Fields whose text is a host's name; elsewhere the same text (a label, say) means something else. */
const hostFields: ReadonlySet<string> = new Set(['host', 'hosts', 'backendRefs', 'targetRefs', 'targetRef', 'parentRefs'])

function mentions(value: unknown, isHost: (text: string) => boolean, within = false): boolean {
  if (typeof value === 'string') return within && isHost(value)
  if (Array.isArray(value)) return value.some((one) => mentions(one, isHost, within))
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([field, inner]) => mentions(inner, isHost, hostFields.has(field) || (within && (field === 'name' || field === 'host'))))
}
