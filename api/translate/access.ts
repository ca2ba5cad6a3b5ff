import type { MessageInitShape } from '@bufbuild/protobuf'
import type { Labels } from '#api/model/labels.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Typed } from '#api/model/object-reader.ts'
import { appliesTo } from '#api/model/targets.ts'
import type { Where } from '#api/model/targets.ts'
import type { AuthorizationPolicySpec } from '#core/resource/authorization-policy.ts'
import type { FilterSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { authorizerNamed, customConnectionFilters, customFilters } from './external-authorizer.ts'
import type { Authorizer, ConnectionCustom, CustomScope } from './external-authorizer.ts'
import type { HttpFilterInit } from './http-connection.ts'
import { networkRbacFilters, rbacFilters } from './rbac.ts'
import type { ScopedPolicy } from './rbac.ts'
import { issuersOf, jwtFilter } from './request-authentication.ts'
import type { Issuer } from './request-authentication.ts'

/** Who may do what at a workload, and whose tokens it believes. */
export interface Access extends CustomScope {
  readonly policies: readonly ScopedPolicy[]
  readonly issuers: readonly Issuer[]
  /** Those of CUSTOM policies that can be asked. */
  readonly authorizers: ReadonlyMap<string, Authorizer>
  /** The mesh's, then its aliases. */
  readonly trustDomains: readonly string[]
  /** The objects that say so. */
  readonly origins: readonly string[]
}

/** What the policies of the root namespace and of a workload's own say of it, each kind in order of name. */
export function accessFor(reader: MeshReader, namespace: string, labels: Labels): Access {
  const policies = applying(reader, namespace, labels, (of) => reader.authorizationPolicies(of))
  const authentications = applying(reader, namespace, labels, (of) => reader.requestAuthentications(of))
  const scoped = policies.map(scopedPolicy)
  const authorizers = new Map<string, Authorizer>()
  for (const { provider } of scoped) {
    const authorizer = provider === '' ? undefined : authorizerNamed(reader, provider)
    if (authorizer !== undefined && 'kind' in authorizer) authorizers.set(provider, authorizer)
  }
  return {
    policies: scoped,
    issuers: issuersOf(reader, namespace, authentications.flatMap((one) => one.spec.jwtRules ?? [])),
    authorizers,
    trustDomains: trustDomainsOf(reader),
    origins: [...policies, ...authentications].map((one) => one.id),
  }
}

/** The mesh's trust domain, then those that count as the same. */
const trustDomainsOf = (reader: MeshReader): string[] => [...new Set([reader.trustDomain, ...(reader.meshConfig().trustDomainAliases ?? [])])]

function applying<Spec extends Where>(reader: MeshReader, namespace: string, labels: Labels, list: (namespace: string) => readonly Typed<Spec>[]): Typed<Spec>[] {
  const wide = namespace === reader.rootNamespace ? [] : list(reader.rootNamespace)
  return [...wide, ...list(namespace)]
    .filter((one) => appliesTo(one.spec, labels, one.namespace === namespace))
    .sort((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1))
}

const scopedPolicy = ({ name, namespace, spec, stored }: Typed<AuthorizationPolicySpec>): ScopedPolicy => ({
  name,
  namespace,
  action: spec.action ?? 'ALLOW',
  rules: spec.rules ?? [],
  dryRun: /^(1|t|true)$/i.test(stored.object.metadata.annotations?.['istio.io/dry-run'] ?? ''),
  provider: spec.action === 'CUSTOM' ? (spec.provider?.name ?? '') : '',
})

/** Filters for requests, in Istio's order: the external authorizer is asked before tokens are verified, and both before what is audited, denied and allowed. */
export const accessFilters = (access: Access): HttpFilterInit[] => [...customFilters(access), ...jwtFilter(access.issuers), ...rbacFilters(access.policies, access.trustDomains)]

/** Filters for connections. */
export const connectionFilters = (access: Access, custom: ConnectionCustom): MessageInitShape<typeof FilterSchema>[] => [...customConnectionFilters(access, custom), ...networkRbacFilters(access.policies, access.trustDomains)]
