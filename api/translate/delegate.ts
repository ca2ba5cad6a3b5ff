import type { MeshReader, Typed } from '#api/model/mesh-reader.ts'
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

/** Every pair of conditions that can hold together; undefined when neither side has any. */
function mergeMatches(outer: readonly HttpMatch[] | undefined, inner: readonly HttpMatch[] | undefined): HttpMatch[] | undefined {
  if (outer === undefined || outer.length === 0) return inner === undefined ? undefined : [...inner]
  if (inner === undefined || inner.length === 0) return [...outer]
  return outer.flatMap((a) => inner.flatMap((b) => mergeMatch(a, b) ?? []))
}

function mergeMatch(outer: HttpMatch, inner: HttpMatch): HttpMatch | undefined {
  for (const field of ['uri', 'scheme', 'method', 'authority'] as const) {
    const [a, b] = [outer[field], inner[field]]
    if (a !== undefined && b !== undefined && !narrows(a, b)) return undefined
  }
  if (outer.port !== undefined && inner.port !== undefined && outer.port !== inner.port) return undefined
  const both = <T extends 'headers' | 'queryParams' | 'withoutHeaders' | 'sourceLabels'>(field: T): Partial<HttpMatch> =>
    outer[field] === undefined && inner[field] === undefined ? {} : { [field]: { ...outer[field], ...inner[field] } }
  return { ...outer, ...inner, ...both('headers'), ...both('queryParams'), ...both('withoutHeaders'), ...both('sourceLabels') }
}

/** Whether what `inner` matches, `outer` matches too: the delegate may only narrow. */
function narrows(outer: StringMatch, inner: StringMatch): boolean {
  if (outer.prefix !== undefined) return (inner.prefix ?? inner.exact)?.startsWith(outer.prefix) ?? false
  return outer.exact !== undefined ? outer.exact === inner.exact : outer.regex === inner.regex
}
