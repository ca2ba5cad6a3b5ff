import type { ResourceKind } from '#core/resource/kind.ts'
import { kindByPlural, kinds } from '#core/resource/registry.ts'

/** What a path below `/k8s/ORGANIZATION/MESH` asks for. */
export type KubePath =
  | { readonly of: 'root' | 'version' | 'health' | 'core-versions' | 'groups' | 'openapi-v2' | 'openapi-index' | 'access-review' }
  | { readonly of: 'openapi'; readonly group: string; readonly version: string }
  | { readonly of: 'group'; readonly group: string }
  | { readonly of: 'resources'; readonly group: string; readonly version: string }
  | { readonly of: 'objects'; readonly kind: ResourceKind; readonly version: string; readonly namespace: string | undefined; readonly name: string | undefined; readonly subresource: string | undefined }
  | { readonly of: 'nothing' }

const NOTHING: KubePath = { of: 'nothing' }

const served = (group: string, version: string): boolean => kinds.some((kind) => kind.group === group && kind.versions.includes(version))

export function readPath(path: string): KubePath {
  const segments = path.split('/').filter((segment) => segment !== '').map(decodeSegment)
  if (segments.includes(undefined)) return NOTHING
  const [first, ...rest] = segments as string[]
  switch (first) {
    case undefined:
      return { of: 'root' }
    case 'version':
      return { of: 'version' }
    case 'healthz':
    case 'livez':
    case 'readyz':
      return { of: 'health' }
    case 'api':
      return rest.length === 0 ? { of: 'core-versions' } : versioned('', rest)
    case 'apis': {
      const [group, ...below] = rest
      if (rest.join('/') === 'authorization.k8s.io/v1/selfsubjectaccessreviews') return { of: 'access-review' }
      if (group === undefined) return { of: 'groups' }
      return below.length === 0 ? (kinds.some((kind) => kind.group === group && group !== '') ? { of: 'group', group } : NOTHING) : versioned(group, below)
    }
    case 'openapi':
      return openapiPath(rest)
    default:
      return NOTHING
  }
}

function openapiPath(rest: readonly string[]): KubePath {
  const [which, root, ...below] = rest
  if (which === 'v2' && root === undefined) return { of: 'openapi-v2' }
  if (which !== 'v3') return NOTHING
  if (root === undefined) return { of: 'openapi-index' }
  const [group, version] = root === 'api' ? ['', below[0]] : [below[0], below[1]]
  return group !== undefined && version !== undefined && served(group, version) ? { of: 'openapi', group, version } : NOTHING
}

function versioned(group: string, [version, ...rest]: readonly string[]): KubePath {
  if (version === undefined || !served(group, version)) return NOTHING
  if (rest.length === 0) return { of: 'resources', group, version }
  // `namespaces/NAME/PLURAL…` leads into a namespace; `namespaces/NAME` is the Namespace itself.
  const within = rest[0] === 'namespaces' && rest.length > 2 && !(group === '' && ['status', 'finalize'].includes(rest[2] ?? ''))
  const [plural, name, subresource, ...more] = within ? rest.slice(2) : rest
  const kind = kindByPlural(group, plural ?? '')
  if (kind === undefined || !kind.versions.includes(version) || more.length > 0 || (within && !kind.namespaced)) return NOTHING
  return { of: 'objects', kind, version, namespace: within ? rest[1] : undefined, name, subresource }
}

function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment)
  } catch {
    // A broken escape names nothing.
    return undefined
  }
}
