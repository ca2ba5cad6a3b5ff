import type { ResourceKind } from '#core/resource/kind.ts'
import { kinds } from '#core/resource/registry.ts'

const VERBS = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch']
/** Of the status of kinds that are not Kubernetes' own. */
const STATUS_VERBS = ['get', 'patch', 'update']

/** Groups with their versions, the preferred one first; core is not a group. */
const groups = (): Map<string, string[]> => {
  const found = new Map<string, string[]>()
  for (const kind of kinds) if (kind.group !== '') found.set(kind.group, [...new Set([...(found.get(kind.group) ?? []), ...kind.versions])])
  // The newest and most stable first, as Kubernetes orders them: v1, v1beta1, v1alpha3, v1alpha2.
  for (const versions of found.values()) versions.sort((a, b) => rank(b) - rank(a))
  return found
}

function rank(version: string): number {
  const [, major = '0', stage, minor = '0'] = /^v(\d+)(alpha|beta)?(\d*)$/.exec(version) ?? []
  return (stage === undefined ? 2 : stage === 'beta' ? 1 : 0) * 1_000_000 + Number(major) * 1000 + Number(minor)
}

const groupVersion = (group: string, version: string): string => (group === '' ? version : `${group}/${version}`)
const versionOf = (group: string, version: string) => ({ groupVersion: groupVersion(group, version), version })

function apiGroup(group: string, versions: readonly string[]) {
  return { name: group, versions: versions.map((version) => versionOf(group, version)), preferredVersion: versionOf(group, versions[0] ?? '') }
}

export const coreVersions = () => ({ kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] })
export const groupList = () => ({ kind: 'APIGroupList', apiVersion: 'v1', groups: [...groups()].map(([group, versions]) => apiGroup(group, versions)) })
export const oneGroup = (group: string) => ({ kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(group, groups().get(group) ?? []) })

const kindsAt = (group: string, version: string): ResourceKind[] => kinds.filter((kind) => kind.group === group && kind.versions.includes(version))

export function resourceList(group: string, version: string) {
  const resources = kindsAt(group, version).flatMap((kind) => [{
    name: kind.plural,
    singularName: kind.singular,
    namespaced: kind.namespaced,
    kind: kind.kind,
    verbs: VERBS,
    ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
    ...(kind.categories.length > 0 ? { categories: kind.categories } : {}),
  }, ...(group === '' ? [] : [{ name: `${kind.plural}/status`, singularName: '', namespaced: kind.namespaced, kind: kind.kind, verbs: STATUS_VERBS }])])
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: groupVersion(group, version), resources }
}

/** Whether a client asks for all of discovery at once (KEP-3352), and in which of its two versions. */
export function aggregatedVersion(accept: string | undefined): 'v2' | 'v2beta1' | undefined {
  for (const offer of (accept ?? '').split(',')) {
    if (!offer.includes('as=APIGroupDiscoveryList')) continue
    if (offer.includes('v=v2beta1')) return 'v2beta1'
    if (offer.includes('v=v2')) return 'v2'
  }
  return undefined
}

export function aggregated(which: 'core' | 'groups', discovery: 'v2' | 'v2beta1') {
  const wanted: [string, string[]][] = which === 'core' ? [['', ['v1']]] : [...groups()]
  const items = wanted.map(([group, versions]) => ({
    metadata: group === '' ? { creationTimestamp: null } : { name: group, creationTimestamp: null },
    versions: versions.map((version) => ({
      version,
      freshness: 'Current',
      resources: kindsAt(group, version).map((kind) => ({
        resource: kind.plural,
        responseKind: { group, version, kind: kind.kind },
        scope: kind.namespaced ? 'Namespaced' : 'Cluster',
        singularResource: kind.singular,
        verbs: VERBS,
        ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
        ...(kind.categories.length > 0 ? { categories: kind.categories } : {}),
        ...(group === '' ? {} : { subresources: [{ subresource: 'status', responseKind: { group, version, kind: kind.kind }, verbs: STATUS_VERBS }] }),
      })),
    })),
  }))
  return { kind: 'APIGroupDiscoveryList', apiVersion: `apidiscovery.k8s.io/${discovery}`, metadata: {}, items }
}

export const aggregatedType = (discovery: 'v2' | 'v2beta1'): string => `application/json;g=apidiscovery.k8s.io;v=${discovery};as=APIGroupDiscoveryList`

/** A version that kubectl's skew check is content with. */
export const serverVersion = () => ({ major: '1', minor: '32', gitVersion: 'v1.32.0-weft', gitCommit: '', gitTreeState: 'clean', buildDate: '2026-01-01T00:00:00Z', goVersion: '', compiler: '', platform: 'weft' })
