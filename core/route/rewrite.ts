import type { ForwardAction } from '../plan/route.ts'

/**
 * The path (query included) that goes upstream. Envoy's `prefix_rewrite` replaces the text that matched and nothing else:
 * `/common` → `/` turns `/common/x` into `//x`. `regex_rewrite` sees the path without its query, which is put back.
 */
export function rewritePath(action: ForwardAction, path: string): string {
  const prefix = action.prefixRewrite
  if (prefix !== undefined) return prefix.to + path.slice(prefix.from.length)
  const pattern = action.regexRewrite
  if (pattern === undefined) return path
  const query = path.indexOf('?')
  return query < 0 ? pattern.rewrite(path) : pattern.rewrite(path.slice(0, query)) + path.slice(query)
}
