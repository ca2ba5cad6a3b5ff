import type { RedirectAction } from '../plan/route.ts'
import type { RequestHead } from './request.ts'

/**
 * The Location of a redirect (envoy.config.route.v3.RedirectAction). The request's own port goes when the action names one, or when it was the default port
 * of a scheme that is being left. A query in `path` beats the request's, and is kept whatever `stripQuery` says.
 */
export function redirectLocation(action: RedirectAction, request: RequestHead): string {
  const scheme = action.scheme ?? request.scheme
  const host = action.host ?? requestHost(request, scheme, action.port !== undefined)
  const port = action.port === undefined ? '' : `:${action.port}`
  return `${scheme}://${host}${port}${redirectPath(action, request.path)}`
}

function redirectPath(action: RedirectAction, path: string): string {
  if (action.path?.includes('?')) return action.path
  const query = path.indexOf('?')
  const search = query < 0 || action.stripQuery ? '' : path.slice(query)
  if (action.path !== undefined) return action.path + search
  const bare = query < 0 ? path : path.slice(0, query)
  if (action.regexRewrite !== undefined) return action.regexRewrite.rewrite(bare) + search
  return (action.prefixRewrite === undefined ? bare : action.prefixRewrite.to + bare.slice(action.prefixRewrite.from.length)) + search
}

function requestHost(request: RequestHead, scheme: string, dropPort: boolean): string {
  const { authority } = request
  const colon = authority.startsWith('[') ? authority.lastIndexOf(']:') + 1 : authority.lastIndexOf(':')
  if (colon <= 0) return authority
  const port = authority.slice(colon)
  const leavesDefault = scheme !== request.scheme && port === (request.scheme === 'https' ? ':443' : ':80')
  return dropPort || leavesDefault ? authority.slice(0, colon) : authority
}
