import type { ReferenceGrantSpec } from '#core/resource/reference-grant.ts'
import { isGranted } from './surroundings.ts'
import type { ApiObject, Surroundings } from './surroundings.ts'

/** A reference to certificates of authorities. */
export interface AuthorityReference {
  readonly group: string
  readonly kind: string
  readonly name: string
  readonly namespace?: string | undefined
}

/** Where authorities are, as a derived object names them; or why they cannot be believed. */
export type JudgedAuthority = { readonly credential: string } | { readonly problem: 'kind' | 'not-permitted' | 'missing' | 'malformed'; readonly message: string }

/** Names of authorities by ConfigMap or Secret; the second is the one that Secrets with keys have, too. */
const SCHEMES = { ConfigMap: 'configmap://', Secret: 'kubernetes-gateway://' } as const

export function judgeAuthority(owner: ApiObject, { group, kind, name, namespace = owner.namespace }: AuthorityReference, grants: readonly ApiObject<ReferenceGrantSpec>[], around: Surroundings): JudgedAuthority {
  const about = `invalid CA certificate reference ${group}/${kind}/${name}.`
  if ((group !== '' && group !== 'core') || (kind !== 'ConfigMap' && kind !== 'Secret')) return { problem: 'kind', message: `${about}, only secret and configmap are allowed` }
  if (!isGranted(grants, { kind: owner.kind, namespace: owner.namespace }, { group, kind, namespace, name })) return { problem: 'not-permitted', message: `caCertificateRef ${namespace}/${name} not accessible to a ${owner.kind} in namespace "${owner.namespace}" (missing a ReferenceGrant?)` }
  const found = around.authorities(kind, namespace, name)
  if (found !== 'usable') return { problem: found, message: `${about}, ${kind.toLowerCase()} ${namespace}/${name} ${found === 'missing' ? 'not found' : 'has no usable ca.crt'}` }
  return { credential: `${SCHEMES[kind]}${namespace}/${name}` }
}
