import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, EXTENSION_CONFIG, LISTENER, NAME_TABLE, ROUTE_CONFIGURATION, RUNTIME, SCOPED_ROUTE_CONFIGURATION, SECRET, VIRTUAL_HOST } from '#core/wire/type-url.ts'

/** The order within a pass: what is pointed at goes before what points at it (xDS protocol, "Eventual consistency considerations"; xds-rules 21). An Envoy asks for its runtime before all else, and for nothing else before it has that. */
export const passOrder: readonly string[] = [RUNTIME, CLUSTER, CLUSTER_LOAD_ASSIGNMENT, SECRET, EXTENSION_CONFIG, LISTENER, SCOPED_ROUTE_CONFIGURATION, ROUTE_CONFIGURATION, VIRTUAL_HOST, NAME_TABLE]

/** Types whose SotW response is the whole set, absence meaning deletion (xDS protocol, "Grouping Resources into Responses"; xds-rules 16). */
export const fullSetTypes: ReadonlySet<string> = new Set([LISTENER, CLUSTER, SCOPED_ROUTE_CONFIGURATION, NAME_TABLE])

/** Types for which a first request without names means everything (xDS protocol, "How the client specifies what resources to return"; xds-rules 12). Secrets never (28). */
export const wildcardTypes: ReadonlySet<string> = new Set([...fullSetTypes, VIRTUAL_HOST])

/** Types that others point at: they disappear in a pass of their own, once nothing points at them any more (xds-rules 21). */
export const lastToGo: ReadonlySet<string> = new Set([CLUSTER, CLUSTER_LOAD_ASSIGNMENT, ROUTE_CONFIGURATION])

/** Types that point at clusters. */
export const pointers: readonly string[] = [LISTENER, SCOPED_ROUTE_CONFIGURATION, ROUTE_CONFIGURATION]
