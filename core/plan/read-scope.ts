import { ScopedRouteConfigurationSchema } from '../wire/gen/envoy/config/route/v3/scoped_route_pb.ts'
import type { ScopePlan } from './http.ts'
import { at, type Read, readResource } from './read.ts'

/** ScopedRouteConfiguration → ScopePlan; fragments port and host make the key `8080|order-service`. */
export function readScope(bytes: Uint8Array, version: string): Read<ScopePlan> {
  return readResource(ScopedRouteConfigurationSchema, bytes, (reading, message) => {
    reading.only('', ScopedRouteConfigurationSchema, message, ['name', 'route_configuration_name', 'key'])
    if (message.name === '') reading.invalid('name', 'is missing')
    if (message.routeConfigurationName === '') reading.invalid('route_configuration_name', 'is missing')
    const fragments = message.key?.fragments ?? []
    if (fragments.length !== 2) reading.unsupported('key.fragments', 'are two, port and host', fragments.length)
    const parts = fragments.map((fragment, index) => {
      if (fragment.type.case === 'stringKey') return fragment.type.value
      reading.invalid(at('key', 'fragments', index), 'has no string_key')
      return ''
    })
    return { name: message.name, version, key: parts.join('|'), table: message.routeConfigurationName }
  })
}
