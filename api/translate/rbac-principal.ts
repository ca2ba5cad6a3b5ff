import { create } from '@bufbuild/protobuf'
import type { Source } from '#core/resource/authorization-policy.ts'
import { PrincipalSchema } from '#core/wire/gen/envoy/config/rbac/v3/rbac_pb.ts'
import type { Principal } from '#core/wire/gen/envoy/config/rbac/v3/rbac_pb.ts'
import type { StringMatcher } from '#core/wire/gen/envoy/type/matcher/v3/string_pb.ts'
import { ValueMatcherSchema } from '#core/wire/gen/envoy/type/matcher/v3/value_pb.ts'
import { endingWith, escapeRegex, exactly, matchingRegex, startingWith } from './message.ts'
import { cidr, headerOf, headerPresent, valueMatcher } from './rbac-permission.ts'

/** What the words of a policy about callers depend on. */
export interface PrincipalContext {
  /** The policy's own namespace: short names of accounts are in it. */
  readonly namespace: string
  /** The mesh's trust domain and its aliases, which all mean the same. */
  readonly trustDomains: readonly string[]
}

const principal = (identifier: Principal['identifier']): Principal => create(PrincipalSchema, { identifier })
const idsOf = (ids: Principal[]) => ({ $typeName: 'envoy.config.rbac.v3.Principal.Set' as const, ids })
const anyone = (): Principal => principal({ case: 'any', value: true })

export const nobody = (): Principal => principal({ case: 'notId', value: anyone() })
/** All of them; none: anyone. */
export const allPrincipals = (parts: Principal[]): Principal => principal({ case: 'andIds', value: idsOf(parts.length === 0 ? [anyone()] : parts) })
export const eitherPrincipal = (values: readonly string[] | undefined, make: (value: string) => Principal): Principal[] =>
  values === undefined || values.length === 0 ? [] : [principal({ case: 'orIds', value: idsOf(values.map(make)) })]
export const neitherPrincipal = (values: readonly string[] | undefined, make: (value: string) => Principal): Principal[] =>
  eitherPrincipal(values, make).map((one) => principal({ case: 'notId', value: one }))

/** A source: all that it names must match (istio.io/latest/docs/reference/config/security/authorization-policy/#Source). */
export function sourceParts(source: Source | undefined, context: PrincipalContext): Principal[] {
  if (source === undefined) return []
  const identities = (values: readonly string[] | undefined) => values?.flatMap((one) => acrossTrustDomains(one, context.trustDomains))
  const account = accountIdentity(context.namespace)
  return [
    ...eitherPrincipal(identities(source.principals), identity),
    ...neitherPrincipal(identities(source.notPrincipals), identity),
    ...eitherPrincipal(source.requestPrincipals, requestPrincipal),
    ...neitherPrincipal(source.notRequestPrincipals, requestPrincipal),
    ...eitherPrincipal(source.namespaces, namespaceIdentity),
    ...neitherPrincipal(source.notNamespaces, namespaceIdentity),
    ...eitherPrincipal(source.serviceAccounts, account),
    ...neitherPrincipal(source.notServiceAccounts, account),
    ...eitherPrincipal(source.trustDomains, trustDomainIdentity),
    ...neitherPrincipal(source.notTrustDomains, trustDomainIdentity),
    ...eitherPrincipal(source.ipBlocks, directAddress),
    ...neitherPrincipal(source.notIpBlocks, directAddress),
    ...eitherPrincipal(source.remoteIpBlocks, remoteAddress),
    ...neitherPrincipal(source.notRemoteIpBlocks, remoteAddress),
  ]
}

const certified = (value: StringMatcher): Principal => principal({ case: 'authenticated', value: { $typeName: 'envoy.config.rbac.v3.Principal.Authenticated', principalName: value } })

/**
 * An identity of the mesh's trust domain holds in each of its aliases, so that a change of trust domain changes no policy. `cluster.local` stands for the mesh's own, whatever its name.
 * istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshConfig-trust_domain_aliases
 */
function acrossTrustDomains(value: string, trustDomains: readonly string[]): string[] {
  const slash = value.indexOf('/')
  const domain = value.slice(0, slash)
  if (slash <= 0 || (domain !== 'cluster.local' && !trustDomains.includes(domain))) return [value]
  return [...new Set([...trustDomains, domain])].map((one) => `${one}${value.slice(slash)}`)
}

/** `cluster.local/ns/prod/sa/a`: what a certificate proves, without its scheme. */
function identity(value: string): Principal {
  if (value === '*') return certified(matchingRegex('.+'))
  if (value.startsWith('*')) return certified(matchingRegex(`spiffe://.*${escapeRegex(value.slice(1))}`))
  return certified(value.endsWith('*') ? startingWith(`spiffe://${value.slice(0, -1)}`) : exactly(`spiffe://${value}`))
}

/** A wildcard within a namespace stands for characters of that namespace's name. */
const namespaceIdentity = (value: string): Principal => certified(matchingRegex(`.*/ns/${wildcardRegex(value)}/.*`))

const trustDomainIdentity = (value: string): Principal => certified(matchingRegex(`spiffe://${wildcardRegex(value)}/.*`))

/** `NAMESPACE/ACCOUNT`, or an account of the policy's own namespace. */
const accountIdentity = (own: string) => (value: string): Principal => {
  const slash = value.indexOf('/')
  const [namespace, account] = slash < 0 ? [own, value] : [value.slice(0, slash), value.slice(slash + 1)]
  return certified(matchingRegex(`spiffe://[^/]+/ns/${escapeRegex(namespace)}/sa/${escapeRegex(account)}`))
}

const wildcardRegex = (value: string): string => value.split('*').map(escapeRegex).join('[^/]*')

const directAddress = (block: string): Principal => principal({ case: 'directRemoteIp', value: cidr(block) })
const remoteAddress = (block: string): Principal => principal({ case: 'remoteIp', value: cidr(block) })

/** A validated token's content, as Envoy's JWT filter leaves it: one value, or one of several where a claim may be a list. */
function claim(path: readonly string[], value: StringMatcher, form: 'single' | 'or in a list' = 'single'): Principal {
  const single = create(ValueMatcherSchema, { matchPattern: { case: 'stringMatch', value } })
  const listed = create(ValueMatcherSchema, { matchPattern: { case: 'listMatch', value: { matchPattern: { case: 'oneOf', value: single } } } })
  return principal({
    case: 'metadata',
    value: {
      $typeName: 'envoy.type.matcher.v3.MetadataMatcher',
      filter: 'envoy.filters.http.jwt_authn',
      invert: false,
      path: ['payload', ...path].map((key) => ({ $typeName: 'envoy.type.matcher.v3.MetadataMatcher.PathSegment' as const, segment: { case: 'key' as const, value: key } })),
      value: form === 'single' ? single : create(ValueMatcherSchema, { matchPattern: { case: 'orMatch', value: { valueMatchers: [single, listed] } } }),
    },
  })
}

/** `ISSUER/SUBJECT`, split at the last slash, for an issuer may be a URL. One wildcard at either end reaches over the slash when there is none. */
function requestPrincipal(value: string): Principal {
  const anything = matchingRegex('.+')
  const both = (issuer: StringMatcher, subject: StringMatcher): Principal => allPrincipals([claim(['iss'], issuer), claim(['sub'], subject)])
  if (value === '*') return both(anything, anything)
  const slash = value.lastIndexOf('/')
  if (slash >= 0) return both(valueMatcher(value.slice(0, slash)), valueMatcher(value.slice(slash + 1)))
  if (value.startsWith('*')) return both(anything, endingWith(value.slice(1)))
  return value.endsWith('*') ? both(startingWith(value.slice(0, -1)), anything) : both(exactly(value), exactly(''))
}

/** How a condition that looks at the caller is judged, one value at a time; undefined: its key is not of that kind. */
export function principalCondition(key: string, context: PrincipalContext): ((value: string) => Principal) | undefined {
  const bracketed = /^([a-z.]+)\[(.+)\]$/.exec(key)
  const name = bracketed?.[2] ?? ''
  switch (bracketed?.[1] ?? key) {
    case 'source.ip':
      return directAddress
    case 'remote.ip':
      return remoteAddress
    case 'source.namespace':
      return namespaceIdentity
    case 'source.principal':
      return (value) => {
        const all = acrossTrustDomains(value, context.trustDomains).map(identity)
        return all.length === 1 && all[0] !== undefined ? all[0] : principal({ case: 'orIds', value: idsOf(all) })
      }
    case 'source.serviceAccount':
      return accountIdentity(context.namespace)
    case 'source.trustDomain':
      return trustDomainIdentity
    case 'request.auth.principal':
      return requestPrincipal
    case 'request.auth.audiences':
      return (value) => claim(['aud'], valueMatcher(value), 'or in a list')
    case 'request.auth.presenter':
      return (value) => claim(['azp'], valueMatcher(value), 'or in a list')
    case 'request.auth.claims':
      return (value) => claim(name.split(']['), valueMatcher(value), 'or in a list')
    case 'request.headers':
      return (value) => principal({ case: 'header', value: value === '*' ? headerPresent(name) : headerOf(name, valueMatcher(value)) })
    default:
      return undefined
  }
}
