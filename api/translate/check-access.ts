import { selects } from '#api/model/labels.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Typed } from '#api/model/object-reader.ts'
import { carriesHttp } from '#api/model/mesh-service.ts'
import type { MeshService } from '#api/model/mesh-service.ts'
import { fault } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import type { AuthorizationPolicySpec } from '#core/resource/authorization-policy.ts'
import type { RequestAuthenticationSpec } from '#core/resource/request-authentication.ts'
import { authorizerNamed } from './external-authorizer.ts'
import { requestOnlyFields } from './rbac.ts'
import { hasUsableKey } from './request-authentication.ts'

/** What of an AuthorizationPolicy cannot be enforced: an authorizer that nobody defined, and rules that ask a connection for what only a request has. */
export function* authorizationFindings(reader: MeshReader, policy: Typed<AuthorizationPolicySpec>): Iterable<Fault> {
  const { spec, id: resource } = policy
  if (spec.action === 'CUSTOM') yield* providerFindings(reader, policy)
  const asked = (spec.rules ?? []).flatMap((rule, index) => [...requestOnlyFields(rule)].map((field) => `spec.rules[${index}].${field}`))
  const byHttp = spec.action === 'CUSTOM' && kindOf(reader, spec.provider?.name ?? '') === 'http'
  if (asked.length === 0 && !byHttp) return
  for (const { service, port } of connectionPorts(reader, policy)) {
    const where = `${service.source} takes connections at port ${port}`
    const allows = (spec.action ?? 'ALLOW') === 'ALLOW'
    for (const path of asked) yield fault('authorization.not-enforced', { resource, path, rule: 'what a connection has, where it lands', hint: `${where}: there the rule ${allows ? 'allows nothing' : 'holds whatever this field says'}` })
    if (byHttp) yield fault('authorization.not-enforced', { resource, path: 'spec.provider.name', value: spec.provider?.name, rule: 'an authorizer by gRPC, where connections land', hint: `${where}: one by HTTP is not asked about them` })
  }
}

function* providerFindings(reader: MeshReader, { id, spec }: Typed<AuthorizationPolicySpec>): Iterable<Fault> {
  const name = spec.provider?.name ?? ''
  const found = authorizerNamed(reader, name)
  if ('problem' in found) yield fault('authorization.provider', { resource: id, path: 'spec.provider.name', value: name, rule: 'an authorizer that the MeshConfig defines', hint: found.problem })
}

function kindOf(reader: MeshReader, provider: string): 'http' | 'grpc' | undefined {
  const found = authorizerNamed(reader, provider)
  return 'kind' in found ? found.kind : undefined
}

/** Ports of the policy's namespace that take no requests, of services whose workloads it selects. */
function connectionPorts(reader: MeshReader, { namespace, spec }: Typed<AuthorizationPolicySpec>): { readonly service: MeshService; readonly port: number }[] {
  const selector = spec.selector?.matchLabels
  // Attached to a gateway or a waypoint, not to workloads of its namespace.
  if (spec.targetRef !== undefined || (spec.targetRefs ?? []).length > 0) return []
  const selected = (service: MeshService): boolean => selects(selector, service.selector ?? {}) || reader.workloadsOf(service).some((one) => selects(selector, one.labels))
  return reader
    .servicesIn(namespace)
    .filter((service) => service.selector !== undefined && selected(service))
    .flatMap((service) => service.ports.filter((one) => !carriesHttp(one.protocol) && one.protocol !== 'udp').map((one) => ({ service, port: one.port })))
}

/** Issuers whose keys nobody can know: their tokens are refused. */
export function* authenticationFindings({ id, spec }: Typed<RequestAuthenticationSpec>): Iterable<Fault> {
  for (const [index, rule] of (spec.jwtRules ?? []).entries()) {
    const path = `spec.jwtRules[${index}]`
    const inline = rule.jwks !== undefined && rule.jwks !== ''
    if (inline && !hasUsableKey(rule.jwks ?? '')) yield fault('authentication.keys', { resource: id, path: `${path}.jwks`, rule: 'at least one key of type RSA, EC, OKP or oct', hint: 'until there is one, tokens of this issuer are refused' })
    if (!inline && rule.jwksUri === undefined && rule.jwks_uri === undefined) {
      yield fault('authentication.keys', { resource: id, path: `${path}.jwksUri`, rule: 'jwksUri or jwks: keys are not discovered from the issuer', hint: 'until one is there, tokens of this issuer are refused' })
    }
  }
}
