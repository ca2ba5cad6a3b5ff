import {
  type DirectResponseAction, DirectResponseActionSchema, type RedirectAction as WireRedirect, RedirectAction_RedirectResponseCode as Code, RedirectActionSchema, type RouteAction,
  RouteAction_ClusterNotFoundResponseCode as NotFoundCode, type RouteAction_HashPolicy, RouteAction_HashPolicy_CookieSchema, RouteAction_HashPolicy_HeaderSchema, RouteAction_HashPolicySchema, RouteAction_MaxStreamDurationSchema,
  type RouteAction_RequestMirrorPolicy, RouteAction_RequestMirrorPolicySchema, RouteAction_UpgradeConfig_ConnectConfigSchema, RouteAction_UpgradeConfigSchema, RouteActionSchema,
} from '../wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { RoutingPriority } from '../wire/gen/envoy/config/core/v3/base_pb.ts'
import type { RegexMatchAndSubstitute } from '../wire/gen/envoy/type/matcher/v3/regex_pb.ts'
import { compileSubstitution } from '../match/regex.ts'
import { wireText } from '../wire/wire-text.ts'
import type { Origin } from './origin.ts'
import type { DirectAction, ForwardAction, HashPlan, MirrorPlan, RedirectAction, RetryPlan } from './route.ts'
import { at, type Reading } from './read.ts'
import { readWeightedClusters, singleCluster } from './read-clusters.ts'
import type { MatchedPath } from './read-match.ts'
import { readRetry } from './read-retry.ts'
import { milliseconds, readText, runtimePercentOf } from './read-value.ts'

/** What a virtual host and a route configuration give to routes that do not say it themselves. */
export interface Inherited {
  readonly retry: RetryPlan | undefined
  readonly mirrors: readonly MirrorPlan[]
}

/** Envoy's default for a route's timeout. */
const TIMEOUT_MS = 15_000

export function readForward(reading: Reading, path: string, action: RouteAction, matched: MatchedPath, origin: Origin | undefined, inherited: Inherited): ForwardAction {
  reading.only(path, RouteActionSchema, action, [
    'cluster', 'weighted_clusters', 'cluster_not_found_response_code', 'prefix_rewrite', 'regex_rewrite', 'host_rewrite_literal', 'auto_host_rewrite', 'timeout', 'idle_timeout',
    'retry_policy', 'request_mirror_policies', 'priority', 'hash_policy', 'rate_limits', 'include_vh_rate_limits', 'cors', 'max_grpc_timeout', 'upgrade_configs', 'max_stream_duration',
  ])
  if (action.priority !== RoutingPriority.DEFAULT) reading.unsupported(at(path, 'priority'), 'only DEFAULT is supported', action.priority)
  readMaxStreamDuration(reading, at(path, 'max_stream_duration'), action)
  const by = action.clusterSpecifier
  const clusters =
    by.case === 'weightedClusters'
      ? readWeightedClusters(reading, at(path, 'weighted_clusters'), by.value, origin)
      : singleCluster(by.case === 'cluster' ? by.value : '', origin)
  if (by.case === undefined || (by.case === 'cluster' && by.value === '')) reading.invalid(path, 'leads to no cluster')
  const host = action.hostRewriteSpecifier
  const mirrors = action.requestMirrorPolicies.map((one, index) => readMirror(reading, at(path, 'request_mirror_policies', index), one))
  const prefixed = action.prefixRewrite === '' ? undefined : readTarget(reading, at(path, 'prefix_rewrite'), action.prefixRewrite)
  return {
    kind: 'forward',
    clusters,
    ...noClusterStatus(action),
    timeoutMs: milliseconds(action.timeout, TIMEOUT_MS),
    ...readGrpcTimeout(action),
    idleTimeoutMs: action.idleTimeout === undefined ? undefined : milliseconds(action.idleTimeout, 0),
    retry: readRetry(reading, at(path, 'retry_policy'), action.retryPolicy) ?? inherited.retry,
    mirrors: mirrors.length > 0 ? mirrors : inherited.mirrors,
    prefixRewrite: prefixed === undefined || matched === 'whole' ? undefined : { from: matched.prefix, to: prefixed },
    // What a pattern matched is the whole path, so that is what prefix_rewrite replaces.
    regexRewrite: prefixed !== undefined && matched === 'whole' ? { words: `replaced by ${prefixed}`, rewrite: () => prefixed } : readRegexRewrite(reading, at(path, 'regex_rewrite'), action.regexRewrite),
    hostRewrite: host.case === 'hostRewriteLiteral' && host.value !== '' ? readTarget(reading, at(path, 'host_rewrite_literal'), host.value) : undefined,
    autoHostRewrite: host.case === 'autoHostRewrite' && host.value.value,
    ...readConnect(reading, path, action),
    hash: action.hashPolicy.map((one, index) => readHash(reading, at(path, 'hash_policy', index), one)),
  }
}

/** Whether tunnels are let through, and whether they end here. Of other upgrades the connection manager alone decides. */
function readConnect(reading: Reading, path: string, action: RouteAction): Pick<ForwardAction, 'connects' | 'endsTunnels'> {
  let ends = false
  let connects: boolean | undefined
  for (const [index, upgrade] of action.upgradeConfigs.entries()) {
    if (upgrade.upgradeType.toUpperCase() === 'CONNECT') connects = upgrade.enabled !== false
    if (upgrade.connectConfig === undefined) continue
    const where = at(path, 'upgrade_configs', index)
    reading.only(where, RouteAction_UpgradeConfigSchema, upgrade, ['upgrade_type', 'enabled', 'connect_config'])
    reading.only(at(where, 'connect_config'), RouteAction_UpgradeConfig_ConnectConfigSchema, upgrade.connectConfig, [])
    if (upgrade.upgradeType.toUpperCase() !== 'CONNECT') reading.invalid(at(where, 'connect_config'), 'is for upgrade_type CONNECT alone', upgrade.upgradeType)
    ends ||= upgrade.enabled !== false
  }
  return { ...(connects !== undefined && { connects }), ...(ends && { endsTunnels: true }) }
}

/** Envoy's names of the answers to what leads to a cluster that is not there. */
function noClusterStatus(action: RouteAction): Pick<ForwardAction, 'noClusterStatus'> {
  switch (action.clusterNotFoundResponseCode) {
    case NotFoundCode.NOT_FOUND:
      return { noClusterStatus: 404 }
    case NotFoundCode.INTERNAL_SERVER_ERROR:
      return { noClusterStatus: 500 }
    default:
      return {}
  }
}

/** `max_grpc_timeout`, and what replaces it. */
function readGrpcTimeout(action: RouteAction): Pick<ForwardAction, 'grpcTimeoutMaxMs'> {
  const max = action.maxStreamDuration?.grpcTimeoutHeaderMax ?? action.maxGrpcTimeout
  return max === undefined ? {} : { grpcTimeoutMaxMs: milliseconds(max, 0) }
}

/** Zero lifts the limit, which is how Weft's streams are anyway; a bound on them is refused. */
function readMaxStreamDuration(reading: Reading, path: string, action: RouteAction): void {
  const limits = action.maxStreamDuration
  if (limits === undefined) return
  reading.only(path, RouteAction_MaxStreamDurationSchema, limits, ['max_stream_duration', 'grpc_timeout_header_max'])
  if (milliseconds(limits.maxStreamDuration, 0) !== 0) reading.unsupported(at(path, 'max_stream_duration'), 'only 0s is supported')
}

export function readMirror(reading: Reading, path: string, mirror: RouteAction_RequestMirrorPolicy): MirrorPlan {
  reading.only(path, RouteAction_RequestMirrorPolicySchema, mirror, ['cluster', 'runtime_fraction', 'trace_sampled', 'disable_shadow_host_suffix_append'])
  if (mirror.cluster === '') reading.invalid(at(path, 'cluster'), 'is missing')
  return { cluster: mirror.cluster, percent: runtimePercentOf(mirror.runtimeFraction, 100), marksHost: !mirror.disableShadowHostSuffixAppend }
}

function readRegexRewrite(reading: Reading, path: string, rewrite: RegexMatchAndSubstitute | undefined): ForwardAction['regexRewrite'] {
  if (rewrite === undefined) return undefined
  const pattern = rewrite.pattern?.regex ?? ''
  try {
    return { words: `${pattern} → ${rewrite.substitution}`, rewrite: compileSubstitution(pattern, readTarget(reading, at(path, 'substitution'), rewrite.substitution)) }
  } catch (cause) {
    reading.invalid(path, cause instanceof Error ? cause.message : String(cause), pattern)
    return undefined
  }
}

function readHash(reading: Reading, path: string, policy: RouteAction_HashPolicy): HashPlan {
  reading.only(path, RouteAction_HashPolicySchema, policy, ['header', 'cookie', 'connection_properties', 'query_parameter', 'terminal'])
  const { policySpecifier: by, terminal } = policy
  const plain = { ttlMs: undefined, path: '', terminal }
  switch (by.case) {
    case 'header':
      reading.only(at(path, 'header'), RouteAction_HashPolicy_HeaderSchema, by.value, ['header_name'])
      return { by: 'header', name: by.value.headerName.toLowerCase(), ...plain }
    case 'cookie': {
      reading.only(at(path, 'cookie'), RouteAction_HashPolicy_CookieSchema, by.value, ['name', 'ttl', 'path', 'attributes'])
      const ttlMs = by.value.ttl === undefined ? undefined : milliseconds(by.value.ttl, 0)
      const attributes = by.value.attributes.map((one) => (one.value === '' ? one.name : `${one.name}=${one.value}`))
      return { by: 'cookie', name: by.value.name, ttlMs, path: by.value.path, terminal, ...(attributes.length === 0 ? {} : { attributes }) }
    }
    case 'queryParameter':
      return { by: 'query-parameter', name: by.value.name, ...plain }
    case 'connectionProperties':
      if (!by.value.sourceIp) reading.invalid(at(path, 'connection_properties.source_ip'), 'is not set')
      return { by: 'source-address', name: '', ...plain }
    case 'filterState':
    case undefined:
      if (by.case === undefined) reading.invalid(path, 'says nothing to hash')
      return { by: 'source-address', name: '', ...plain }
  }
}

const STATUS: Readonly<Record<number, number>> = {
  [Code.MOVED_PERMANENTLY]: 301,
  [Code.FOUND]: 302,
  [Code.SEE_OTHER]: 303,
  [Code.TEMPORARY_REDIRECT]: 307,
  [Code.PERMANENT_REDIRECT]: 308,
}

export function readRedirect(reading: Reading, path: string, action: WireRedirect, matched: MatchedPath): RedirectAction {
  reading.only(path, RedirectActionSchema, action, [
    'https_redirect', 'scheme_redirect', 'host_redirect', 'port_redirect', 'path_redirect', 'prefix_rewrite', 'regex_rewrite', 'response_code', 'strip_query',
  ])
  const status = STATUS[action.responseCode]
  if (status === undefined) reading.unsupported(at(path, 'response_code'), 'is not supported', action.responseCode)
  const rewrite = action.pathRewriteSpecifier
  if (rewrite.case === 'prefixRewrite' && matched === 'whole') reading.unsupported(at(path, 'prefix_rewrite'), 'needs a match by prefix or path')
  return {
    kind: 'redirect',
    status: status ?? 301,
    scheme: readScheme(reading, path, action),
    host: action.hostRedirect === '' ? undefined : readTarget(reading, at(path, 'host_redirect'), action.hostRedirect),
    port: action.portRedirect === 0 ? undefined : action.portRedirect,
    path: rewrite.case === 'pathRedirect' && rewrite.value !== '' ? readTarget(reading, at(path, 'path_redirect'), rewrite.value) : undefined,
    prefixRewrite: rewrite.case === 'prefixRewrite' && rewrite.value !== '' && matched !== 'whole' ? { from: matched.prefix, to: readTarget(reading, at(path, 'prefix_rewrite'), rewrite.value) } : undefined,
    ...(rewrite.case === 'regexRewrite' ? { regexRewrite: readRegexRewrite(reading, at(path, 'regex_rewrite'), rewrite.value) } : {}),
    stripQuery: action.stripQuery,
  }
}

/** A part of a request's target or of a `location`, as it goes on the wire: one line, and no space, at which a request line would end. */
function readTarget(reading: Reading, path: string, text: string): string {
  if (/[\r\n\0]/.test(text)) reading.invalid(path, 'one line', text)
  return wireText(text).replaceAll(' ', '%20')
}

function readScheme(reading: Reading, path: string, action: WireRedirect): 'http' | 'https' | undefined {
  const by = action.schemeRewriteSpecifier
  if (by.case === 'httpsRedirect') return by.value ? 'https' : undefined
  if (by.case === undefined || by.value === '') return undefined
  const scheme = by.value.toLowerCase()
  if (scheme === 'http' || scheme === 'https') return scheme
  reading.unsupported(at(path, 'scheme_redirect'), 'is neither http nor https', by.value)
  return undefined
}

export function readDirect(reading: Reading, path: string, action: DirectResponseAction): DirectAction {
  reading.only(path, DirectResponseActionSchema, action, ['status', 'body'])
  if (action.status < 200 || action.status > 599) reading.invalid(at(path, 'status'), '200..599', action.status)
  return { kind: 'direct', status: action.status, body: wireText(readText(reading, at(path, 'body'), action.body) ?? '') }
}
