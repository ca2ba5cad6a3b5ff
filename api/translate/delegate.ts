import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Typed } from '#api/model/object-reader.ts'
import type { StringMatch } from '#core/resource/string-match.ts'
import type { HttpMatch, HttpRoute } from '#core/resource/virtual-service-http.ts'
import type { VirtualServiceSpec } from '#core/resource/virtual-service.ts'

export interface DelegatedRoute {
  readonly route: HttpRoute
  /** The VirtualService in which the route stands: names in it are meant there. */
  readonly owner: Typed<VirtualServiceSpec>
  /** `http[0]` */
  readonly field: string
}

/**
 * A VirtualService's HTTP routes, with those of delegates in the place of the entries that lead to them.
 * A delegated route holds where the root's conditions and its own do; what the root says of timeouts, headers and the like stands where the delegate is silent.
 * istio.io/latest/docs/reference/config/networking/virtual-service/#Delegate
 */
export function delegatedRoutes(reader: MeshReader, root: Typed<VirtualServiceSpec>): DelegatedRoute[] {
  return (root.spec.http ?? []).flatMap((route, index): DelegatedRoute[] => {
    if (route.delegate === undefined) return [{ route, owner: root, field: `http[${index}]` }]
    const delegate = reader.virtualService(route.delegate.namespace || root.namespace, route.delegate.name ?? '')
    // A delegate is one by having no hosts, and leads no further.
    if (delegate === undefined || (delegate.spec.hosts ?? []).length > 0) return []
    return (delegate.spec.http ?? []).flatMap((inner, at): DelegatedRoute[] => {
      if (inner.delegate !== undefined) return []
      const match = mergeMatches(route.match, inner.match)
      if (match?.length === 0) return []
      const { delegate: _, match: _match, ...defaults } = route
      return [{ route: { ...defaults, ...inner, ...(match === undefined ? {} : { match }) }, owner: delegate, field: `http[${at}]` }]
    })
  })
}

/** Every pair of conditions that can hold together; undefined when neither side has any, and none at all where one of the delegate's goes beyond all of the root's, as in Istio. */
function mergeMatches(outer: readonly HttpMatch[] | undefined, inner: readonly HttpMatch[] | undefined): HttpMatch[] | undefined {
  if (outer === undefined || outer.length === 0) return inner === undefined ? undefined : [...inner]
  if (inner === undefined || inner.length === 0) return [...outer]
  const merged = inner.map((b) => outer.flatMap((a) => mergeMatch(a, b) ?? []))
  return merged.some((one) => one.length === 0) ? [] : merged.flat()
}

function mergeMatch(outer: HttpMatch, inner: HttpMatch): HttpMatch | undefined {
  for (const field of ['uri', 'scheme', 'method', 'authority'] as const) if (!narrows(outer[field], inner[field])) return undefined
  for (const field of ['headers', 'withoutHeaders', 'queryParams'] as const) {
    for (const [name, value] of Object.entries(inner[field] ?? {})) if (!narrows(outer[field]?.[name], value)) return undefined
  }
  if ((outer.ignoreUriCase ?? false) !== (inner.ignoreUriCase ?? false)) return undefined
  if (outer.port !== undefined && inner.port !== undefined && outer.port !== inner.port) return undefined
  // A delegate repeats its root's namespace of callers.
  if (outer.sourceNamespace && outer.sourceNamespace !== inner.sourceNamespace) return undefined
  if (Object.entries(inner.sourceLabels ?? {}).some(([name, value]) => (outer.sourceLabels?.[name] ?? value) !== value)) return undefined
  if (outer.gateways?.length && inner.gateways?.some((one) => outer.gateways?.includes(one) !== true)) return undefined
  const both = <T extends 'headers' | 'queryParams' | 'withoutHeaders' | 'sourceLabels'>(field: T): Partial<HttpMatch> =>
    outer[field] === undefined && inner[field] === undefined ? {} : { [field]: { ...outer[field], ...inner[field] } }
  return { ...outer, ...inner, ...both('headers'), ...both('queryParams'), ...both('withoutHeaders'), ...both('sourceLabels') }
}

/** Whether what `inner` matches, `outer` is known to match too: the delegate may only narrow. Nobody compares what regular expressions match, so one stands by itself. */
function narrows(outer: StringMatch | undefined, inner: StringMatch | undefined): boolean {
  if (outer === undefined || inner === undefined) return true
  if (outer.prefix !== undefined) return (inner.prefix ?? inner.exact)?.startsWith(outer.prefix) ?? false
  return outer.exact !== undefined && outer.exact === inner.exact
}
