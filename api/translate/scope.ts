import { create } from '@bufbuild/protobuf'
import type { Resource } from '#api/serve/resource.ts'
import { ScopedRouteConfigurationSchema } from '#core/wire/gen/envoy/config/route/v3/scoped_route_pb.ts'
import { scopeName } from './naming.ts'
import { resourceOf } from './resource.ts'

/** Leads requests of a port and host to a route configuration. */
export function scopeResource(port: string, host: string, routes: string, origins: readonly string[]): Resource {
  const name = scopeName(port, host)
  const fragments = [port, host].map((value) => ({ type: { case: 'stringKey' as const, value } }))
  return resourceOf(ScopedRouteConfigurationSchema, name, create(ScopedRouteConfigurationSchema, { name, routeConfigurationName: routes, key: { fragments } }), origins)
}
