import { pathIn } from '#api/simulate/ask.ts'
import { differences } from '#api/simulate/expect.ts'
import type { RequestTest, RequestWords } from '#core/contract/requests-file.ts'
import type { Trail } from '#core/explain/trail.ts'
import { hostHeaderOf, joined } from './question.ts'

/** What differs, of what the router can know: how an application answers, and how often of a hundred times, is seen where requests are played. */
export function routerDifferences({ request, expect, application, playedOnly }: RequestTest, got: Trail): string[] {
  if (playedOnly !== undefined) return []
  const { status: _, ...routed } = expect
  return differences(application === undefined && expect.share === undefined ? expect : routed, got, { headers: joined(request.headers ?? {}), host: hostIn(request), path: pathIn(request.url) })
}

const hostIn = (request: RequestWords): string => hostHeaderOf(request) ?? /^[a-z]+:\/\/([^/?#]*)/i.exec(request.url)?.[1] ?? ''
