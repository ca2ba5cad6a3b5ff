/** What a google.protobuf.Any of ours begins with; Envoy reads only what comes after the last slash. */
const prefix = 'type.googleapis.com/'

export const LISTENER = 'type.googleapis.com/envoy.config.listener.v3.Listener'
export const ROUTE_CONFIGURATION = 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration'
export const SCOPED_ROUTE_CONFIGURATION = 'type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration'
export const VIRTUAL_HOST = 'type.googleapis.com/envoy.config.route.v3.VirtualHost'
export const CLUSTER = 'type.googleapis.com/envoy.config.cluster.v3.Cluster'
export const CLUSTER_LOAD_ASSIGNMENT = 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment'
export const SECRET = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret'
export const EXTENSION_CONFIG = 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig'
/** A layer of an Envoy's runtime (RTDS). */
export const RUNTIME = 'type.googleapis.com/envoy.service.runtime.v3.Runtime'
export const NAME_TABLE = 'type.googleapis.com/istio.networking.nds.v1.NameTable'

/** No resource: a proxy tells on its stream whether its application may be called, as Istio's agents do (`error_detail`: it may not, and why). */
export const HEALTH_INFORMATION = 'type.googleapis.com/istio.v1.HealthInformation'

/** The types of resource that discovery carries. */
export type TypeUrl =
  | typeof LISTENER
  | typeof ROUTE_CONFIGURATION
  | typeof SCOPED_ROUTE_CONFIGURATION
  | typeof VIRTUAL_HOST
  | typeof CLUSTER
  | typeof CLUSTER_LOAD_ASSIGNMENT
  | typeof SECRET
  | typeof EXTENSION_CONFIG
  | typeof RUNTIME
  | typeof NAME_TABLE

export const typeUrls: readonly TypeUrl[] = [
  LISTENER,
  ROUTE_CONFIGURATION,
  SCOPED_ROUTE_CONFIGURATION,
  VIRTUAL_HOST,
  CLUSTER,
  CLUSTER_LOAD_ASSIGNMENT,
  SECRET,
  EXTENSION_CONFIG,
  RUNTIME,
  NAME_TABLE,
]

/** Whether a peer's string names a type of resource that we know. */
export function isTypeUrl(text: string): text is TypeUrl {
  const known: readonly string[] = typeUrls
  return known.includes(text)
}

/** The type URL of a message, given its schema. */
export function typeUrlOf(schema: { readonly typeName: string }): string {
  return prefix + schema.typeName
}
