import { create } from '@bufbuild/protobuf'
import type { Operation } from '#core/resource/authorization-policy.ts'
import { PermissionSchema } from '#core/wire/gen/envoy/config/rbac/v3/rbac_pb.ts'
import type { Permission } from '#core/wire/gen/envoy/config/rbac/v3/rbac_pb.ts'
import { MetadataMatcherSchema } from '#core/wire/gen/envoy/type/matcher/v3/metadata_pb.ts'
import type { StringMatcher } from '#core/wire/gen/envoy/type/matcher/v3/string_pb.ts'
import { ValueMatcherSchema } from '#core/wire/gen/envoy/type/matcher/v3/value_pb.ts'
import { endingWith, exactly, matchingRegex, startingWith } from './message.ts'
import { pathTemplateRegex } from './path-template.ts'

const permission = (rule: Permission['rule']): Permission => create(PermissionSchema, { rule })
const setOf = (rules: Permission[]) => ({ $typeName: 'envoy.config.rbac.v3.Permission.Set' as const, rules })

export const anyPermission = (): Permission => permission({ case: 'any', value: true })
export const notPermission = (of: Permission): Permission => permission({ case: 'notRule', value: of })
/** All of them; none: anything. */
export const allPermissions = (parts: Permission[]): Permission => permission({ case: 'andRules', value: setOf(parts.length === 0 ? [anyPermission()] : parts) })
/** One that holds for any of the values; nothing to hold where there are none. */
export const eitherPermission = (values: readonly string[] | undefined, make: (value: string) => Permission): Permission[] =>
  values === undefined || values.length === 0 ? [] : [permission({ case: 'orRules', value: setOf(values.map(make)) })]
export const neitherPermission = (values: readonly string[] | undefined, make: (value: string) => Permission): Permission[] => eitherPermission(values, make).map(notPermission)

/** An operation: all that it names must match (istio.io/latest/docs/reference/config/security/authorization-policy/#Operation). */
export function operationParts(operation: Operation | undefined): Permission[] {
  if (operation === undefined) return []
  const { hosts, notHosts, ports, notPorts, methods, notMethods, paths, notPaths } = operation
  return [
    ...eitherPermission(hosts, hostPermission),
    ...neitherPermission(notHosts, hostPermission),
    ...eitherPermission(methods, methodPermission),
    ...neitherPermission(notMethods, methodPermission),
    ...eitherPermission(paths, pathPermission),
    ...neitherPermission(notPaths, pathPermission),
    ...eitherPermission(ports, portPermission),
    ...neitherPermission(notPorts, portPermission),
  ]
}

export const headerOf = (name: string, value: StringMatcher) => ({ $typeName: 'envoy.config.route.v3.HeaderMatcher' as const, name, invertMatch: false, treatMissingHeaderAsEmpty: false, headerMatchSpecifier: { case: 'stringMatch' as const, value } })
export const headerPresent = (name: string) => ({ $typeName: 'envoy.config.route.v3.HeaderMatcher' as const, name, invertMatch: false, treatMissingHeaderAsEmpty: false, headerMatchSpecifier: { case: 'presentMatch' as const, value: true } })

const hostPermission = (host: string): Permission => permission({ case: 'header', value: host === '*' ? headerPresent(':authority') : headerOf(':authority', valueMatcher(host, true)) })
const methodPermission = (method: string): Permission => permission({ case: 'header', value: method === '*' ? headerPresent(':method') : headerOf(':method', valueMatcher(method)) })
const pathPermission = (path: string): Permission => permission({ case: 'urlPath', value: { $typeName: 'envoy.type.matcher.v3.PathMatcher', rule: { case: 'path', value: /\{\*{1,2}\}/.test(path) ? matchingRegex(pathTemplateRegex(path)) : valueMatcher(path) } } })
const portPermission = (port: string): Permission => permission({ case: 'destinationPort', value: Number(port) })

/** Istio's values: exact, `prefix*`, `*suffix`, or `*` for anything but the empty text. */
export function valueMatcher(value: string, ignoreCase = false): StringMatcher {
  if (value === '*') return matchingRegex('.+')
  if (value.startsWith('*')) return endingWith(value.slice(1), ignoreCase)
  return value.endsWith('*') ? startingWith(value.slice(0, -1), ignoreCase) : exactly(value, ignoreCase)
}

/** `10.0.0.0/8`, or one address. */
export function cidr(block: string) {
  const [addressPrefix = '', length] = block.split('/')
  return { $typeName: 'envoy.config.core.v3.CidrRange' as const, addressPrefix, prefixLen: length === undefined ? (addressPrefix.includes(':') ? 128 : 32) : Number(length) }
}

/** How a condition that looks at the request or the connection is judged, one value at a time; undefined: its key is not of that kind. */
export function permissionCondition(key: string): ((value: string) => Permission) | undefined {
  switch (key) {
    case 'destination.ip':
      return (value) => permission({ case: 'destinationIp', value: cidr(value) })
    case 'destination.port':
      return portPermission
    case 'connection.sni':
      return (value) => permission({ case: 'requestedServerName', value: valueMatcher(value) })
    default:
      return filterMetadata(key)
  }
}

/** `experimental.envoy.filters.NAME[KEY]`: what another filter has noted; a value in brackets is one of a list. */
function filterMetadata(key: string): ((value: string) => Permission) | undefined {
  const [, filter, name] = /^experimental\.(envoy\.filters\.[^[]+)\[(.+)\]$/.exec(key) ?? []
  if (filter === undefined || name === undefined) return undefined
  return (value) => {
    const [, listed] = /^\[(.*)\]$/.exec(value) ?? []
    const single = create(ValueMatcherSchema, { matchPattern: { case: 'stringMatch', value: valueMatcher(listed ?? value) } })
    return permission({
      case: 'metadata',
      value: create(MetadataMatcherSchema, {
        filter,
        path: [{ segment: { case: 'key', value: name } }],
        value: listed === undefined ? single : create(ValueMatcherSchema, { matchPattern: { case: 'listMatch', value: { matchPattern: { case: 'oneOf', value: single } } } }),
      }),
    })
  }
}
