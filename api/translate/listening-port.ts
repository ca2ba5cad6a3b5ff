import type { AuthorizationRule } from '#core/resource/authorization-policy.ts'
import type { WorkloadPort } from '#core/workload/workload.ts'
import type { ScopedPolicy } from './rbac.ts'

/**
 * A policy as a proxy must be told it that takes a port's connections at another one: rules name the application's port, and the proxy knows the port of the connection alone.
 * Where traffic is captured the two are one, and the policy stays as it is.
 */
export function atListeningPort(policy: ScopedPolicy, { port, listen }: WorkloadPort): ScopedPolicy {
  if (listen.port === port) return policy
  // Nobody who names the proxy's own port means the application's.
  const move = (value: string): string => (value === String(port) ? String(listen.port) : value === String(listen.port) ? String(port) : value)
  return { ...policy, rules: policy.rules.map((rule) => movedRule(rule, move)) }
}

function movedRule(rule: AuthorizationRule, move: (value: string) => string): AuthorizationRule {
  const { to, when } = rule
  return {
    ...rule,
    ...(to === undefined
      ? {}
      : {
          to: to.map((one) => ({
            ...one,
            operation: {
              ...one.operation,
              ...(one.operation.ports === undefined ? {} : { ports: one.operation.ports.map(move) }),
              ...(one.operation.notPorts === undefined ? {} : { notPorts: one.operation.notPorts.map(move) }),
            },
          })),
        }),
    ...(when === undefined
      ? {}
      : {
          when: when.map((one) =>
            one.key === 'destination.port'
              ? { ...one, ...(one.values === undefined ? {} : { values: one.values.map(move) }), ...(one.notValues === undefined ? {} : { notValues: one.notValues.map(move) }) }
              : one,
          ),
        }),
  }
}
