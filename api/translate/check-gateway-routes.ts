import { warning } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import type { HttpRouteSpec } from '#core/resource/http-route.ts'

/** What of an HTTPRoute or GRPCRoute does nothing where it stands, though it does something elsewhere: what no Envoy can carry out. */
export function* gatewayRouteFindings(resource: string, { rules = [] }: Pick<HttpRouteSpec, 'rules'>): Iterable<Fault> {
  for (const [index, { backendRefs = [], filters: ofRule = [], sessionPersistence }] of rules.entries()) {
    const path = `spec.rules[${index}]`
    const undone = [...ofRule.map((filter, place) => ({ filter, at: `${path}.filters[${place}]` })), ...backendRefs.flatMap(({ filters = [] }, at) => filters.map((filter, place) => ({ filter, at: `${path}.backendRefs[${at}].filters[${place}]` })))]
    for (const { filter, at } of undone) {
      if (filter.type === 'ExternalAuth' || filter.type === 'ExtensionRef') yield warning('object.field-inert', { resource, path: at, value: filter.type, rule: 'a filter that is carried out', hint: 'what it would guard is answered with 500' })
    }
    if (sessionPersistence?.idleTimeout !== undefined) yield warning('object.field-inert', { resource, path: `${path}.sessionPersistence.idleTimeout`, rule: 'left out: sessions are kept by clients, and nobody sees how long they are idle' })
    const shared = backendRefs.filter((one) => one.weight !== 0).length
    for (const [at, { filters = [] }] of shared < 2 ? [] : backendRefs.entries()) {
      for (const [place, { type, urlRewrite }] of filters.entries()) {
        const where = { resource, path: `${path}.backendRefs[${at}].filters[${place}]`, value: type }
        if (type === 'RequestMirror' || type === 'CORS') yield warning('object.field-inert', { ...where, rule: 'what is done for all requests of a rule, or for its one backend', hint: 'it is left out' })
        if (type === 'RequestRedirect' || (type === 'URLRewrite' && urlRewrite?.path !== undefined)) yield warning('object.field-inert', { ...where, rule: 'what is done for all requests of a rule, or for its one backend', hint: 'this backend’s share of requests is answered with 500' })
      }
    }
    if (sessionPersistence?.absoluteTimeout === undefined) continue
    if (sessionPersistence.type === 'Header' || sessionPersistence.cookieConfig?.lifetimeType !== 'Permanent') {
      yield warning('object.field-inert', { resource, path: `${path}.sessionPersistence.absoluteTimeout`, rule: 'the lifetime of a cookie whose lifetimeType is Permanent', hint: 'a header has none, and another cookie lives as long as the browser' })
    }
  }
}
