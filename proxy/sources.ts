import type { SecureContext } from 'node:tls'
import type { ClientTlsPlan, ClusterPlan } from '#core/plan/cluster.ts'
import type { EndpointsPlan } from '#core/plan/endpoints.ts'
import type { ScopePlan } from '#core/plan/http.ts'
import type { ListenerPlan, ServerTlsPlan } from '#core/plan/listener.ts'
import type { RouteTable } from '#core/plan/route.ts'

/**
 * What the data path executes, as `proxy/ads/plan-cell.ts` holds it: maps that change, of values that never do.
 * A request looks a value up once and keeps what it found.
 */
export interface PlanSource {
  /** By listener name. */
  readonly listeners: ReadonlyMap<string, ListenerPlan>
  /** By scope key: `8080|order-service`. */
  readonly scopes: ReadonlyMap<string, ScopePlan>
  /** By route table name. */
  readonly tables: ReadonlyMap<string, RouteTable>
  /** By cluster name. */
  readonly clusters: ReadonlyMap<string, ClusterPlan>
  /** By ClusterLoadAssignment name. */
  readonly endpoints: ReadonlyMap<string, EndpointsPlan>
  /** The newest revision that is applied: for log lines whose route names none. */
  readonly revision: number
}

/**
 * TLS contexts, made from secrets by `proxy/identity`. A context holds certificate, key and, where the plan names a trust secret, the roots that the peer's chain must lead to.
 * Undefined: a secret that the plan names has not arrived; such a connection is refused, never let through unverified.
 * The data path itself chooses the chain by SNI, asks for client certificates as the plan says, and checks SANs.
 */
export interface SecretSource {
  serverContext(tls: ServerTlsPlan): SecureContext | undefined
  clientContext(tls: ClientTlsPlan): SecureContext | undefined
  /** Runs `changed` after secrets were replaced. New connections then ask for contexts again; connections that stand are kept. */
  onChange(changed: () => void): void
}
