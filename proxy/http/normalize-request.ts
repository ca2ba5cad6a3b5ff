import { normalizePath } from '#core/route/normalize.ts'
import { withoutPort } from '#core/route/select.ts'
import type { HttpStack } from '../filter/stack.ts'
import { answers } from './answer.ts'
import type { Answer } from './answer.ts'
import type { HttpRequestHead } from './request-head.ts'

/**
 * Makes of a head what routes and policies are asked about, before any of them is: whom to believe of where it came from, the authority, the path. In place.
 * Answers what refuses it; undefined: it goes on.
 */
export function normalizeRequest(request: HttpRequestHead, { plan, rewritesPath, pathRules }: HttpStack): Answer | undefined {
  const { useRemoteAddress, trustedHops } = plan
  if (!useRemoteAddress || trustedHops > 0) request.trustForwarded(trustedHops, useRemoteAddress)
  if (plan.stripPort) request.authority = withoutPort(request.authority)
  if (!rewritesPath) return undefined
  const path = normalizePath(request.path, pathRules)
  if (path === undefined) return answers.badPath
  if (typeof path === 'object') return answers.redirect(307, path.redirect, 'path_normalization_redirect')
  request.path = path
  return undefined
}
