import type { ReferenceGrantSpec } from '#core/resource/reference-grant.ts'
import { isGranted } from './surroundings.ts'
import type { ApiObject, Surroundings } from './surroundings.ts'

/** A reference to a Secret with certificate and key. */
export interface CertificateReference {
  readonly group?: string | undefined
  readonly kind?: string | undefined
  readonly name: string
  readonly namespace?: string | undefined
}

/** Where a certificate is, as a derived object names it; or why it cannot be shown. */
export type JudgedCertificate = { readonly credentialName: string } | { readonly problem: 'kind' | 'not-permitted' | 'missing' | 'malformed'; readonly message: string }

export function judgeCertificate(owner: ApiObject, { group = '', kind = 'Secret', name, namespace = owner.namespace }: CertificateReference, grants: readonly ApiObject<ReferenceGrantSpec>[], around: Surroundings): JudgedCertificate {
  const about = `invalid certificate reference ${group}/${kind}/${name}.`
  if ((group !== '' && group !== 'core') || kind !== 'Secret') return { problem: 'kind', message: `${about}, only Secrets are supported` }
  if (!isGranted(grants, { kind: owner.kind, namespace: owner.namespace }, { group, kind, namespace, name })) return { problem: 'not-permitted', message: `certificateRef ${name}/${namespace} not accessible to a ${owner.kind} in namespace "${owner.namespace}" (missing a ReferenceGrant?)` }
  const found = around.secret(namespace, name)
  if (found !== 'usable') return { problem: found, message: `${about}, secret ${namespace}/${name} ${found === 'missing' ? 'not found' : 'has no usable certificate and key'}` }
  return { credentialName: `kubernetes-gateway://${namespace}/${name}` }
}
