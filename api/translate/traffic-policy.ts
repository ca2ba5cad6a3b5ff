import { sessionOfRule } from '#api/model/gateway-api/session.ts'
import type { Session } from '#api/model/gateway-api/session.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Typed } from '#api/model/object-reader.ts'
import type { MeshService } from '#api/model/mesh-service.ts'
import type { DestinationRuleSpec, Subset } from '#core/resource/destination-rule.ts'
import type { PortTrafficPolicy, TrafficPolicy } from '#core/resource/traffic-policy.ts'
import { isDerivedRule, underPolicy } from './backend-tls.ts'
import type { Origin } from './message.ts'

/** What applies to one port, of one subset. */
export type Policy = Omit<PortTrafficPolicy, 'port'> & Pick<TrafficPolicy, 'tunnel' | 'proxyProtocol' | 'retryBudget'>

/** The DestinationRules of a service as one: the oldest one's policy, and the subsets of all, the oldest first. */
export interface DestinationPolicy {
  readonly rule: Typed<DestinationRuleSpec> | undefined
  readonly trafficPolicy: TrafficPolicy | undefined
  readonly subsets: readonly (Subset & { readonly origin: Origin })[]
  readonly origins: readonly string[]
  /** What policies of the Gateway API say of the service. */
  readonly ofBackend: TrafficPolicy | undefined
  readonly session: Session | undefined
}

export function destinationPolicy(reader: MeshReader, service: MeshService, client: string): DestinationPolicy {
  const rules = reader.destinationRules(service.host, client, service.namespace)
  const written = rules.filter((one) => !isDerivedRule(one))
  const derived = rules.find(isDerivedRule)
  const ofBackend = derived?.spec.trafficPolicy
  const [rule] = written.length > 0 ? written : rules
  const subsets = new Map<string, Subset & { readonly origin: Origin }>()
  for (const one of rules) {
    for (const [index, subset] of (one.spec.subsets ?? []).entries()) {
      if (!subsets.has(subset.name)) subsets.set(subset.name, { ...subset, origin: { resource: one.id, field: `subsets[${index}]` } })
    }
  }
  const trafficPolicy = written.find((one) => one.spec.trafficPolicy !== undefined)?.spec.trafficPolicy
  return { rule, trafficPolicy: ofBackend === undefined ? trafficPolicy : underPolicy(trafficPolicy, ofBackend), ofBackend, session: derived && sessionOfRule(derived.stored.object), subsets: [...subsets.values()], origins: rules.map((one) => one.id) }
}

/**
 * The policy of a port: a subset's settings before the host's, field by field; a port's own settings replace them all, and what they leave out is default.
 * What a port cannot set for itself (tunnel, PROXY protocol, retry budget) holds for it as for all.
 * istio.io/latest/docs/reference/config/networking/destination-rule/#TrafficPolicy-PortTrafficPolicy
 */
export function policyFor(host: TrafficPolicy | undefined, subset: TrafficPolicy | undefined, port: number): Policy {
  return merge(merge({}, host, port), subset, port)
}

function merge(base: Policy, over: TrafficPolicy | undefined, port: number): Policy {
  if (over === undefined) return base
  const ofPort = over.portLevelSettings?.find((one) => one.port?.number === port)
  const whole = { ...base, ...withoutUndefined(over) }
  const { loadBalancer, connectionPool, outlierDetection, tls } = ofPort ?? whole
  const { tunnel, proxyProtocol, retryBudget } = whole
  return { loadBalancer, connectionPool, outlierDetection, tls, ...withoutUndefined({ tunnel, proxyProtocol, retryBudget }) }
}

const withoutUndefined = <T extends object>(value: T): Partial<T> => Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Partial<T>
