import { resolveHost } from '#api/model/host.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Message, MessageInitShape } from '@bufbuild/protobuf'
import type { ExtensionProvider } from '#core/resource/extension-provider.ts'
import { ApiVersion } from '#core/wire/gen/envoy/config/core/v3/config_source_pb.ts'
import type { GrpcServiceSchema } from '#core/wire/gen/envoy/config/core/v3/grpc_service_pb.ts'
import type { FilterSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { RBAC_Action as RbacAction } from '#core/wire/gen/envoy/config/rbac/v3/rbac_pb.ts'
import { ExtAuthzSchema } from '#core/wire/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts'
import type { HttpServiceSchema } from '#core/wire/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts'
import { RBACSchema as HttpRbacSchema } from '#core/wire/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts'
import { ExtAuthzSchema as NetworkExtAuthzSchema } from '#core/wire/gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.ts'
import type { ListStringMatcherSchema, StringMatcherSchema } from '#core/wire/gen/envoy/type/matcher/v3/string_pb.ts'
import type { MetadataMatcherSchema } from '#core/wire/gen/envoy/type/matcher/v3/metadata_pb.ts'
import { StatusCode } from '#core/wire/gen/envoy/type/v3/http_status_pb.ts'
import { httpFilter } from './http-connection.ts'
import type { HttpFilterInit } from './http-connection.ts'
import { anyOf, duration, durationOf } from './message.ts'
import { outboundCluster } from './naming.ts'
import { networkRbac, translatePolicies } from './rbac.ts'
import type { ScopedPolicy } from './rbac.ts'
import { valueMatcher } from './rbac-permission.ts'

type Http = NonNullable<ExtensionProvider['envoyExtAuthzHttp']>
type Grpc = NonNullable<ExtensionProvider['envoyExtAuthzGrpc']>

/** An external authorizer as the mesh's settings have it, and where it is. */
export type Authorizer = { readonly host: string; readonly cluster: string } & ({ readonly kind: 'http'; readonly spec: Http } | { readonly kind: 'grpc'; readonly spec: Grpc })

/** The authorizer of a name, or why it cannot be asked. */
export function authorizerNamed(reader: MeshReader, name: string): Authorizer | { readonly problem: string } {
  const providers = reader.meshConfig().extensionProviders ?? []
  const provider = providers.find((one) => one.name === name)
  if (provider === undefined) return { problem: `the mesh's settings have ${providers.length === 0 ? 'no extensionProviders' : providers.map((one) => one.name).join(', ')}` }
  const { envoyExtAuthzHttp: http, envoyExtAuthzGrpc: grpc } = provider
  const spec = http ?? grpc
  if (spec === undefined) return { problem: `${name} is no authorizer (envoyExtAuthzHttp or envoyExtAuthzGrpc)` }
  const [namespace, word] = spec.service?.includes('/') ? spec.service.split('/', 2) : [reader.rootNamespace, spec.service]
  const host = resolveHost(word ?? '', namespace ?? '')
  const service = reader.declared(host, namespace ?? '')
  const port = spec.port ?? 0
  if (service === undefined || !service.ports.some((one) => one.port === port)) return { problem: `${host} has no port ${port}` }
  const at = { host, cluster: outboundCluster(port, '', host) }
  return http !== undefined ? { kind: 'http', spec: http, ...at } : { kind: 'grpc', spec: grpc ?? {}, ...at }
}

/** All that the CUSTOM filters of a workload depend on. */
export interface CustomScope {
  readonly policies: readonly ScopedPolicy[]
  readonly authorizers: ReadonlyMap<string, Authorizer>
  readonly trustDomains: readonly string[]
}

/** Policies by authorizer, in order of name. */
function byProvider(policies: readonly ScopedPolicy[]): [string, ScopedPolicy[]][] {
  const found = new Map<string, ScopedPolicy[]>()
  for (const one of policies) if (one.action === 'CUSTOM' && !one.dryRun) found.set(one.provider, [...(found.get(one.provider) ?? []), one])
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1))
}

const SHADOW_PREFIX = 'istio_ext_authz_'
/** What the policies of an authorizer are called: the filter that asks it looks for names that begin so. */
const namePrefix = (provider: string): string => `istio-ext-authz-${provider}-`
const ruleName = (provider: string) => (policy: ScopedPolicy, index: number): string => `${namePrefix(provider)}ns[${policy.namespace}]-policy[${policy.name}]-rule[${index}]`

/**
 * CUSTOM policies: a filter in the shade notes which of them a request matches, and only requests with such a note are asked about. Those that name an authorizer that is not there are denied.
 * istio.io/latest/docs/tasks/security/authorization/authz-custom
 */
export function customFilters(scope: CustomScope): HttpFilterInit[] {
  return byProvider(scope.policies).flatMap(([provider, policies]) => {
    const authorizer = scope.authorizers.get(provider)
    const rules = translatePolicies(RbacAction.DENY, policies, scope.trustDomains, 'requests', ruleName(provider))
    if (authorizer === undefined) return [httpFilter('envoy.filters.http.rbac', anyOf(HttpRbacSchema, { rules: translatePolicies(RbacAction.DENY, policies, scope.trustDomains, 'requests') }))]
    return [
      httpFilter('envoy.filters.http.rbac', anyOf(HttpRbacSchema, { shadowRules: rules, shadowRulesStatPrefix: SHADOW_PREFIX })),
      httpFilter('envoy.filters.http.ext_authz', anyOf(ExtAuthzSchema, extAuthz(authorizer, provider))),
    ]
  })
}

/** How connections are held to CUSTOM policies: `asked` about, where the proxy can ask, else denied. */
export type ConnectionCustom = 'asked' | 'denied'

/**
 * The same for connections. Only an authorizer by gRPC can be asked about them: one by HTTP says nothing of a connection, as in Istio. A proxy that cannot ask denies.
 */
export function customConnectionFilters(scope: CustomScope, how: ConnectionCustom): MessageInitShape<typeof FilterSchema>[] {
  return byProvider(scope.policies).flatMap(([provider, policies]) => {
    const authorizer = scope.authorizers.get(provider)
    if (authorizer?.kind === 'http') return []
    if (authorizer === undefined || how === 'denied') return [networkRbac({ statPrefix: 'tcp.', rules: translatePolicies(RbacAction.DENY, policies, scope.trustDomains, 'connections') })]
    return [
      networkRbac({ statPrefix: 'tcp.', shadowRules: translatePolicies(RbacAction.DENY, policies, scope.trustDomains, 'connections', ruleName(provider)), shadowRulesStatPrefix: SHADOW_PREFIX }),
      {
        name: 'envoy.filters.network.ext_authz',
        configType: {
          case: 'typedConfig',
          value: anyOf(NetworkExtAuthzSchema, {
            statPrefix: 'tcp.',
            failureModeAllow: authorizer.spec.failOpen ?? false,
            transportApiVersion: ApiVersion.V3,
            grpcService: grpcService(authorizer),
            filterEnabledMetadata: noted('envoy.filters.network.rbac', provider),
          }),
        },
      },
    ]
  })
}

/** The policy that the filter in the shade noted is one of the authorizer's. */
const noted = (filter: string, provider: string): MessageInitShape<typeof MetadataMatcherSchema> => ({
  filter,
  path: [{ segment: { case: 'key', value: `${SHADOW_PREFIX}shadow_effective_policy_id` } }],
  value: { matchPattern: { case: 'stringMatch', value: { matchPattern: { case: 'prefix', value: namePrefix(provider) } } } },
})

/** Without a word from the mesh the bound is the route's, or the DestinationRule's of the authorizer. */
const TIMEOUT_MS = 600_000

const timeoutOf = (spec: Http | Grpc) => (spec.timeout === undefined ? duration(TIMEOUT_MS) : durationOf(spec.timeout))

// A cluster's name has a character that a gRPC authority may not have.
const grpcService = ({ cluster, spec }: Authorizer): MessageInitShape<typeof GrpcServiceSchema> => ({
  targetSpecifier: { case: 'envoyGrpc', value: { clusterName: cluster, authority: cluster.replaceAll('|', '_.') } },
  timeout: timeoutOf(spec),
})

type ExtAuthzInit = Exclude<MessageInitShape<typeof ExtAuthzSchema>, Message>

function extAuthz(authorizer: Authorizer, provider: string): ExtAuthzInit {
  const { spec } = authorizer
  const body = spec.includeRequestBodyInCheck
  const asked = authorizer.kind === 'http' ? [...(authorizer.spec.includeRequestHeadersInCheck ?? []), ...(authorizer.spec.includeHeadersInCheck ?? [])] : []
  const status = statusOf(spec.statusOnError)
  // Over HTTP a body is what it is, and Envoy makes nothing of this.
  const asBytes = authorizer.kind === 'grpc' && (authorizer.spec.includeRequestBodyInCheck?.packAsBytes ?? false)
  return {
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: spec.failOpen ?? false,
    clearRouteCache: spec.clearRouteCache ?? false,
    ...(status === undefined ? {} : { statusOnError: { code: status } }),
    // Of a body of which no bytes may be held nothing is shown; Envoy takes no filter that says so.
    ...(body?.maxRequestBytes ? { withRequestBody: { maxRequestBytes: body.maxRequestBytes, allowPartialMessage: body.allowPartialMessage ?? false, packAsBytes: asBytes } } : {}),
    filterEnabledMetadata: noted('envoy.filters.http.rbac', provider),
    ...(asked.length === 0 ? {} : { allowedHeaders: headerList(asked) }),
    services: serviceOf(authorizer),
  }
}

/** A status that Envoy knows; undefined: none is said, or none that it knows, and 403 counts. */
function statusOf(text: string | undefined): StatusCode | undefined {
  return Object.values(StatusCode).find((one) => one > 0 && String(one) === text)
}

const serviceOf = (authorizer: Authorizer): NonNullable<ExtAuthzInit['services']> =>
  authorizer.kind === 'grpc' ? { case: 'grpcService', value: grpcService(authorizer) } : { case: 'httpService', value: httpService(authorizer.host, authorizer.cluster, authorizer.spec) }

function httpService(host: string, cluster: string, spec: Http): MessageInitShape<typeof HttpServiceSchema> {
  const added = Object.entries(spec.includeAdditionalHeadersInCheck ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    serverUri: { uri: `http://${host}`, httpUpstreamType: { case: 'cluster', value: cluster }, timeout: timeoutOf(spec) },
    pathPrefix: spec.pathPrefix ?? '',
    ...(added.length === 0 ? {} : { authorizationRequest: { headersToAdd: added.map(([key, value]) => ({ key, value })) } }),
    authorizationResponse: {
      ...listed('allowedUpstreamHeaders', spec.headersToUpstreamOnAllow),
      ...listed('allowedClientHeaders', spec.headersToDownstreamOnDeny),
      ...listed('allowedClientHeadersOnSuccess', spec.headersToDownstreamOnAllow),
    },
  }
}

type HeaderList = MessageInitShape<typeof ListStringMatcherSchema>

const headerList = (names: readonly string[]): HeaderList => ({ patterns: names.map((name): MessageInitShape<typeof StringMatcherSchema> => valueMatcher(name, true)) })
const listed = <Name extends string>(name: Name, headers: readonly string[] | undefined): { [K in Name]?: HeaderList } => (headers === undefined || headers.length === 0 ? {} : ({ [name]: headerList(headers) } as { [K in Name]: HeaderList }))
