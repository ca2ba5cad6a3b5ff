import { create } from '@bufbuild/protobuf'
import type { StringMatch } from '#core/resource/string-match.ts'
import type { HttpMatch } from '#core/resource/virtual-service-http.ts'
import { HeaderMatcherSchema, QueryParameterMatcherSchema, RouteMatchSchema } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import type { HeaderMatcher, QueryParameterMatcher, RouteMatch } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import { MetadataMatcherSchema } from '#core/wire/gen/envoy/type/matcher/v3/metadata_pb.ts'
import type { MetadataMatcher } from '#core/wire/gen/envoy/type/matcher/v3/metadata_pb.ts'
import type { StringMatcher } from '#core/wire/gen/envoy/type/matcher/v3/string_pb.ts'
import { exactly, matchingRegex, startingWith } from './message.ts'

/** Whether a condition holds for every request that gets as far: what follows it is never reached. */
export function matchesAll(match: HttpMatch | undefined): boolean {
  if (match === undefined) return true
  const { exact, prefix = '', regex = '.*' } = match.uri ?? {}
  const anyPath = exact === undefined && (prefix === '' || prefix === '/') && regex === '.*'
  const conditions = [match.scheme, match.method, match.authority]
  const maps = [match.headers, match.queryParams, match.withoutHeaders]
  return anyPath && conditions.every((one) => one === undefined) && maps.every((one) => Object.keys(one ?? {}).length === 0)
}

/** HTTPMatchRequest as Envoy's RouteMatch; maps in order of name. `bySegments`: a prefix is one of whole segments. */
export function routeMatch(match: HttpMatch | undefined, bySegments = false): RouteMatch {
  const { uri } = match ?? {}
  const headers: HeaderMatcher[] = []
  const dynamicMetadata: MetadataMatcher[] = []
  for (const [name, condition] of sorted(match?.headers)) {
    const claim = claimPath(name)
    if (claim === undefined) headers.push(headerMatcher(name, condition))
    else dynamicMetadata.push(claimMatcher(claim, condition))
  }
  for (const [name, condition] of sorted(match?.withoutHeaders)) headers.push(create(HeaderMatcherSchema, { ...headerMatcher(name, condition), invertMatch: true, treatMissingHeaderAsEmpty: stringMatcher(condition) !== undefined }))
  const pseudo = [[':method', match?.method] as const, [':authority', match?.authority] as const, [':scheme', match?.scheme] as const]
  for (const [name, condition] of pseudo) if (condition !== undefined) headers.push(headerMatcher(name, condition))
  return create(RouteMatchSchema, {
    pathSpecifier:
      uri?.exact !== undefined
        ? { case: 'path', value: uri.exact }
        : uri?.regex !== undefined
          ? { case: 'safeRegex', value: { regex: uri.regex } }
          : bySegments && uri?.prefix !== undefined && !uri.prefix.endsWith('/')
            ? { case: 'pathSeparatedPrefix', value: uri.prefix }
            : { case: 'prefix', value: uri?.prefix || '/' },
    ...(match?.ignoreUriCase === true ? { caseSensitive: false } : { caseSensitive: true }),
    headers,
    queryParameters: sorted(match?.queryParams).map(([name, condition]) => queryMatcher(name, condition)),
    dynamicMetadata,
  })
}

const sorted = (of: Readonly<Record<string, StringMatch>> | undefined): [string, StringMatch][] => Object.entries(of ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))

/** Undefined for the empty condition (and the regex `*`, as Istio reads it): the value only has to be there. */
function stringMatcher(condition: StringMatch): StringMatcher | undefined {
  if (condition.exact !== undefined) return exactly(condition.exact)
  if (condition.prefix !== undefined) return startingWith(condition.prefix)
  return condition.regex === undefined || condition.regex === '*' ? undefined : matchingRegex(condition.regex)
}

function headerMatcher(name: string, condition: StringMatch): HeaderMatcher {
  const value = stringMatcher(condition)
  return create(HeaderMatcherSchema, { name, headerMatchSpecifier: value === undefined ? { case: 'presentMatch', value: true } : { case: 'stringMatch', value } })
}

function queryMatcher(name: string, condition: StringMatch): QueryParameterMatcher {
  const value = stringMatcher(condition)
  return create(QueryParameterMatcherSchema, { name, queryParameterMatchSpecifier: value === undefined ? { case: 'presentMatch', value: true } : { case: 'stringMatch', value } })
}

/** `@request.auth.claims.group.admin` or `@request.auth.claims[group][admin]` → the path within the token. */
function claimPath(name: string): string[] | undefined {
  const prefix = '@request.auth.claims'
  if (!name.startsWith(prefix)) return undefined
  const rest = name.slice(prefix.length)
  return rest.startsWith('[') ? rest.slice(1, -1).split('][') : rest.slice(1).split('.')
}

const claimMatcher = (path: readonly string[], condition: StringMatch): MetadataMatcher =>
  create(MetadataMatcherSchema, {
    filter: 'envoy.filters.http.jwt_authn',
    path: ['payload', ...path].map((key) => ({ segment: { case: 'key' as const, value: key } })),
    value: { matchPattern: { case: 'stringMatch', value: stringMatcher(condition) ?? matchingRegex('.*') } },
  })
