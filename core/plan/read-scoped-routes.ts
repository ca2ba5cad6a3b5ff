import {
  type HttpConnectionManager, type ScopedRoutes, ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractorSchema as ExtractorSchema, ScopedRoutesSchema,
} from '../wire/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { HeaderMutationSchema } from '../wire/gen/envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation_pb.ts'
import { constantText, parseFormat } from '../telemetry/format.ts'
import type { RouteSource } from './http.ts'
import { at, type Reading, typeNameOf } from './read.ts'
import { readOption } from './read-headers.ts'

const PORT = 'x-weft-port'
const SCOPE = 'x-weft-scope'

/**
 * Scoped routes in the one form that Weft's control plane sends: early header mutations write `x-weft-port` (a constant) and `x-weft-scope` (the authority),
 * and the key is made of the two, the second cut at its first colon or not. Weft needs neither header: `scopeKey` reads the authority itself.
 */
export function readScopedRoutes(reading: Reading, path: string, manager: HttpConnectionManager, scoped: ScopedRoutes, fallback: boolean): RouteSource {
  const where = at(path, 'scoped_routes')
  reading.only(where, ScopedRoutesSchema, scoped, ['name', 'scope_key_builder', 'rds_config_source', 'scoped_rds'])
  const headers = readMutations(reading, path, manager)
  const port = headers.get(PORT)
  if (port === undefined || constantText(parseFormat(port) ?? []) === undefined) reading.unsupported(at(path, 'early_header_mutation_extensions'), `must set ${PORT} to a constant`, port)
  const scope = headers.get(SCOPE)
  if (scope !== '%REQ(:AUTHORITY)%') reading.unsupported(at(path, 'early_header_mutation_extensions'), `must set ${SCOPE} to %REQ(:AUTHORITY)%`, scope)
  const splits = readFragments(reading, at(where, 'scope_key_builder'), scoped)
  return { kind: 'scoped', port: port ?? '', splitAuthorityAtColon: splits, fallback }
}

function readMutations(reading: Reading, path: string, manager: HttpConnectionManager): Map<string, string> {
  const headers = new Map<string, string>()
  for (const [index, extension] of manager.earlyHeaderMutationExtensions.entries()) {
    const where = at(at(path, 'early_header_mutation_extensions', index), 'typed_config')
    const any = extension.typedConfig
    if (any === undefined || typeNameOf(any) !== HeaderMutationSchema.typeName) {
      reading.unsupported(where, 'is not supported', extension.name)
      continue
    }
    for (const [nth, mutation] of (reading.unpack(where, any, HeaderMutationSchema)?.mutations ?? []).entries()) {
      const step = at(where, 'mutations', nth)
      const option = mutation.action.case === 'append' ? readOption(reading, at(step, 'append'), mutation.action.value) : undefined
      if (option === undefined || !option.overwrite || (option.header.name !== PORT && option.header.name !== SCOPE)) {
        reading.unsupported(step, `only overwriting ${PORT} and ${SCOPE} is supported`)
      } else headers.set(option.header.name, option.header.value)
    }
  }
  return headers
}

/** Whether the authority is cut at its colon. */
function readFragments(reading: Reading, path: string, scoped: ScopedRoutes): boolean {
  const fragments = scoped.scopeKeyBuilder?.fragments ?? []
  const extractors = fragments.map((fragment) => (fragment.type.case === 'headerValueExtractor' ? fragment.type.value : undefined))
  const [port, scope] = extractors
  if (extractors.length !== 2 || port?.name.toLowerCase() !== PORT || scope?.name.toLowerCase() !== SCOPE) {
    reading.unsupported(at(path, 'fragments'), `only header values ${PORT}, then ${SCOPE} are supported`)
    return false
  }
  for (const [index, extractor] of [port, scope].entries()) {
    const where = at(at(path, 'fragments', index), 'header_value_extractor')
    reading.only(where, ExtractorSchema, extractor, ['name', 'element_separator', 'index'])
    if (extractor.extractType.case === 'index' && extractor.extractType.value !== 0) reading.unsupported(at(where, 'index'), 'only 0 is supported', extractor.extractType.value)
    if (extractor.elementSeparator !== '' && extractor.elementSeparator !== ':') reading.unsupported(at(where, 'element_separator'), 'only a colon is supported', extractor.elementSeparator)
  }
  return scope.elementSeparator === ':'
}
