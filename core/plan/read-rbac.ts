import { type Permission, PermissionSchema, type Policy, PolicySchema, type Principal, PrincipalSchema, type RBAC, RBAC_Action, RBACSchema } from '../wire/gen/envoy/config/rbac/v3/rbac_pb.ts'
import { type PathMatcher, PathMatcherSchema } from '../wire/gen/envoy/type/matcher/v3/path_pb.ts'
import type { MetadataMatcher } from '../wire/gen/envoy/type/matcher/v3/metadata_pb.ts'
import type { FilterStateMatcher } from '../wire/gen/envoy/type/matcher/v3/filter_state_pb.ts'
import type { HeadPredicate } from '../match/request.ts'
import type { TextPredicate } from '../match/text.ts'
import { type PeerInfo, pathOnly, type RequestHead } from '../route/request.ts'
import type { RbacPlan, RequestPredicate } from './rbac.ts'
import { at, type Reading } from './read.ts'
import { policyOrigin } from './read-origin.ts'
import { readClaimMatch } from './read-claim.ts'
import { readCidr, readHeaderMatch } from './read-match.ts'
import { readStringMatch } from './read-string.ts'

const ANY: RequestPredicate = { words: 'any', matches: () => true }
const NONE: RequestPredicate = { words: 'none', matches: () => false }

const ACTIONS = { [RBAC_Action.ALLOW]: 'allow', [RBAC_Action.DENY]: 'deny', [RBAC_Action.LOG]: 'log' } as const
const isAction = (action: number): action is keyof typeof ACTIONS => Object.hasOwn(ACTIONS, action)

/** Compiles rules or shadow rules. Matcher trees and CEL conditions are refused. */
export function readRbac(reading: Reading, path: string, rules: RBAC, shadow: boolean): RbacPlan {
  reading.only(path, RBACSchema, rules, ['action', 'policies'])
  const action = isAction(rules.action) ? ACTIONS[rules.action] : undefined
  if (action === undefined) reading.unsupported(at(path, 'action'), 'is not supported', rules.action)
  const names = Object.keys(rules.policies).sort()
  return {
    action: action ?? 'deny',
    shadow,
    policies: names.flatMap((name) => {
      const policy = rules.policies[name]
      return policy === undefined ? [] : [{ name, origin: policyOrigin(name), ...readPolicy(reading, at(path, 'policies', name), policy) }]
    }),
  }
}

function readPolicy(reading: Reading, path: string, policy: Policy): { permission: RequestPredicate; principal: RequestPredicate } {
  reading.only(path, PolicySchema, policy, ['permissions', 'principals'])
  if (policy.permissions.length === 0) reading.invalid(at(path, 'permissions'), 'is empty')
  if (policy.principals.length === 0) reading.invalid(at(path, 'principals'), 'is empty')
  return {
    permission: anyOf(policy.permissions.map((one, index) => readPermission(reading, at(path, 'permissions', index), one))),
    principal: anyOf(policy.principals.map((one, index) => readPrincipal(reading, at(path, 'principals', index), one))),
  }
}

function readPermission(reading: Reading, path: string, permission: Permission): RequestPredicate {
  reading.only(path, PermissionSchema, permission, [
    'and_rules', 'or_rules', 'any', 'header', 'url_path', 'destination_ip', 'destination_port', 'destination_port_range', 'not_rule', 'requested_server_name', 'metadata',
  ])
  const { rule } = permission
  switch (rule.case) {
    case 'any':
      return rule.value ? ANY : NONE
    case 'andRules':
      return allOf(rule.value.rules.map((one, index) => readPermission(reading, at(path, 'and_rules.rules', index), one)))
    case 'orRules':
      return anyOf(rule.value.rules.map((one, index) => readPermission(reading, at(path, 'or_rules.rules', index), one)))
    case 'notRule':
      return not(readPermission(reading, at(path, 'not_rule'), rule.value))
    case 'header':
      return onHead(readHeaderMatch(reading, at(path, 'header'), rule.value))
    case 'urlPath':
      return onUrlPath(reading, at(path, 'url_path'), rule.value)
    case 'destinationIp': {
      const range = readCidr(reading, at(path, 'destination_ip'), rule.value)
      return valued(`destination in ${range.words}`, (_request, peer) => range.matches(peer.localAddress), (_request, peer) => peer.localAddress)
    }
    case 'destinationPort': {
      const port = rule.value
      return valued(`port ${port}`, (_request, peer) => peer.localPort === port, (_request, peer) => String(peer.localPort))
    }
    case 'destinationPortRange': {
      const { start, end } = rule.value
      return valued(`port in ${start}..${end - 1}`, (_request, peer) => peer.localPort >= start && peer.localPort < end, (_request, peer) => String(peer.localPort))
    }
    case 'requestedServerName': {
      const name = readStringMatch(reading, at(path, 'requested_server_name'), rule.value)
      return valued(`server name ${name.words}`, (_request, peer) => name.matches(peer.sni), (_request, peer) => peer.sni)
    }
    case 'metadata':
      return readNoted(reading, at(path, 'metadata'), rule.value)
    case undefined:
      reading.invalid(path, 'has no rule')
      return NONE
    default:
      return NONE
  }
}

function readPrincipal(reading: Reading, path: string, principal: Principal): RequestPredicate {
  reading.only(path, PrincipalSchema, principal, [
    'and_ids', 'or_ids', 'any', 'authenticated', 'source_ip', 'direct_remote_ip', 'remote_ip', 'header', 'url_path', 'filter_state', 'metadata', 'not_id',
  ])
  const { identifier } = principal
  switch (identifier.case) {
    case 'any':
      return identifier.value ? ANY : NONE
    case 'andIds':
      return allOf(identifier.value.ids.map((one, index) => readPrincipal(reading, at(path, 'and_ids.ids', index), one)))
    case 'orIds':
      return anyOf(identifier.value.ids.map((one, index) => readPrincipal(reading, at(path, 'or_ids.ids', index), one)))
    case 'notId':
      return not(readPrincipal(reading, at(path, 'not_id'), identifier.value))
    case 'header':
      return onHead(readHeaderMatch(reading, at(path, 'header'), identifier.value))
    case 'urlPath':
      return onUrlPath(reading, at(path, 'url_path'), identifier.value)
    case 'authenticated': {
      const { principalName } = identifier.value
      return principalName === undefined ? AUTHENTICATED : onIdentity(readStringMatch(reading, at(path, 'authenticated.principal_name'), principalName))
    }
    case 'metadata':
      return onHead(readClaimMatch(reading, at(path, 'metadata'), identifier.value))
    case 'filterState':
      return readFilterState(reading, at(path, 'filter_state'), identifier.value)
    case 'sourceIp':
    case 'directRemoteIp': {
      const range = readCidr(reading, at(path, identifier.case === 'sourceIp' ? 'source_ip' : 'direct_remote_ip'), identifier.value)
      return valued(`source in ${range.words}`, (_request, peer) => range.matches((peer.direct ?? peer).address), (_request, peer) => (peer.direct ?? peer).address)
    }
    case 'remoteIp': {
      const range = readCidr(reading, at(path, 'remote_ip'), identifier.value)
      return valued(`client in ${range.words}`, (request, peer) => range.matches(request?.remoteAddress ?? peer.address), (request, peer) => request?.remoteAddress ?? peer.address)
    }
    case undefined:
      reading.invalid(path, 'has no identifier')
      return NONE
    default:
      return NONE
  }
}

/** What other filters note: only the one that verifies tokens is here to do so, and of all others there is never a note. */
function readNoted(reading: Reading, path: string, matcher: MetadataMatcher): RequestPredicate {
  if (matcher.filter === 'envoy.filters.http.jwt_authn') return onHead(readClaimMatch(reading, path, matcher))
  return matcher.invert ? ANY : NONE
}

// "If unset, it applies to any user that is authenticated": a certificate was shown and verified, not merely TLS spoken.
const AUTHENTICATED = valued('any authenticated identity', (_request, peer) => peer.uriSans.length > 0 || peer.dnsSans.length > 0, (_request, peer) => peer.uriSans[0] ?? peer.dnsSans[0] ?? '')

/** URI SANs, then DNS SANs (envoy.config.rbac.v3.Principal.Authenticated). */
function onIdentity(name: TextPredicate): RequestPredicate {
  return valued(`identity ${name.words}`, (_request, peer) => identityMatches(name, peer), (_request, peer) => peer.uriSans[0] ?? peer.dnsSans[0] ?? '')
}

function identityMatches(name: TextPredicate, peer: PeerInfo): boolean {
  for (const san of peer.uriSans) if (name.matches(san)) return true
  for (const san of peer.dnsSans) if (name.matches(san)) return true
  return false
}

/** Istio names the peer by filter state `io.istio.peer_principal`, which is its verified SPIFFE ID. */
function readFilterState(reading: Reading, path: string, matcher: FilterStateMatcher): RequestPredicate {
  if (matcher.key !== 'io.istio.peer_principal' || matcher.matcher.case !== 'stringMatch') {
    reading.unsupported(path, 'only io.istio.peer_principal with string_match is supported', matcher.key)
    return NONE
  }
  return onIdentity(readStringMatch(reading, at(path, 'string_match'), matcher.matcher.value))
}

function onUrlPath(reading: Reading, path: string, matcher: PathMatcher): RequestPredicate {
  reading.only(path, PathMatcherSchema, matcher, ['path'])
  const test = readStringMatch(reading, at(path, 'path'), matcher.rule.case === 'path' ? matcher.rule.value : undefined)
  return { words: `path ${test.words}`, matches: (request) => request !== undefined && test.matches(pathOnly(request.path)) }
}

function onHead(test: HeadPredicate): RequestPredicate {
  return { words: test.words, matches: (request) => request !== undefined && test.matches(request) }
}

/** A condition on what is no secret, whose value is told with it. */
function valued(words: string, matches: RequestPredicate['matches'], value: (request: RequestHead | undefined, peer: PeerInfo) => string): RequestPredicate {
  return {
    words,
    matches,
    decidedBy(request, peer) {
      const was = value(request, peer)
      return `${words} [${was === '' ? 'none' : was}]`
    },
  }
}

const decisive = (test: RequestPredicate, request: RequestHead | undefined, peer: PeerInfo): string => test.decidedBy?.(request, peer) ?? test.words

function not(test: RequestPredicate): RequestPredicate {
  return { words: `not (${test.words})`, matches: (request, peer) => !test.matches(request, peer), decidedBy: (request, peer) => `not (${decisive(test, request, peer)})` }
}

function allOf(tests: readonly RequestPredicate[]): RequestPredicate {
  const needed = tests.filter((test) => test !== ANY)
  const [first] = needed
  if (first === undefined) return tests.length === 0 ? NONE : ANY
  if (needed.length === 1) return first
  return {
    words: needed.map((test) => test.words).join(' and '),
    matches(request, peer) {
      for (let index = 0; index < needed.length; index++) if (needed[index]?.matches(request, peer) === false) return false
      return true
    },
    decidedBy(request, peer) {
      const missing = needed.find((test) => !test.matches(request, peer))
      return missing === undefined ? needed.map((test) => decisive(test, request, peer)).join(' and ') : decisive(missing, request, peer)
    },
  }
}

function anyOf(tests: readonly RequestPredicate[]): RequestPredicate {
  const [first] = tests
  if (first === undefined) return NONE
  if (tests.length === 1) return first
  return {
    words: `(${tests.map((test) => test.words).join(' or ')})`,
    matches(request, peer) {
      for (let index = 0; index < tests.length; index++) if (tests[index]?.matches(request, peer) === true) return true
      return false
    },
    decidedBy(request, peer) {
      const holds = tests.find((test) => test.matches(request, peer))
      return holds === undefined ? `(${tests.map((test) => decisive(test, request, peer)).join(' or ')})` : decisive(holds, request, peer)
    },
  }
}
