import { findTokens, judgeRequirement, type ProviderJudge } from '../authz/requirement.ts'
import { judgeClaims, normalizeClaims, parseToken, type TokenProblem, tokenProblems } from '../authz/token.ts'
import type { HttpPlan } from '../plan/http.ts'
import type { JwtPlan, JwtProviderPlan } from '../plan/jwt.ts'
import type { RequestHead } from '../route/request.ts'
import type { Step } from './trail.ts'

/** What tokens are judged by where no keys are at hand. */
export interface TokenDoor {
  /** Since the epoch. */
  readonly nowMs: number
  /** Whether the issuer's key signed it; absent: it is believed. */
  isSigned?(token: string): boolean
}

type Claims = Readonly<Record<string, unknown>>

/** A request whose tokens were judged: its claims, or the status that it is refused with. */
export type TokenVerdict = { readonly claims: Claims | undefined } | { readonly status: number; readonly why: string }

/** The tokens of a request, judged by every filter that asks for some. A route's own say is left to running proxies. */
export function explainTokens(http: HttpPlan, request: RequestHead, door: TokenDoor, side: Step['side'], steps: Step[]): TokenVerdict {
  let claims: Claims | undefined
  for (const filter of http.filters) {
    if (filter.kind !== 'jwt') continue
    const requirement = filter.jwt.rules.find((one) => one.matches(request))?.requirement
    if (requirement === undefined) continue
    const verdict = judgeRequirement(judgesOf(filter.jwt, door), requirement, request)
    if (!verdict.ok) {
      steps.push({ side, kind: 'policy', words: `token refused: ${verdict.problem}`, matched: true })
      return { status: verdict.problem === tokenProblems.audience ? 403 : 401, why: verdict.problem }
    }
    for (const { provider, claims: held } of verdict.verified) {
      steps.push({ side, kind: 'policy', words: `a token of ${provider.issuer || provider.name}${door.isSigned === undefined ? ', whose signature is believed' : ''}`, matched: true })
      if (provider.tellsClaims) claims = normalizeClaims(provider, held)
    }
  }
  return { claims }
}

interface Held {
  readonly provider: JwtProviderPlan
  readonly claims: Claims
}

const judgesOf = ({ providers }: JwtPlan, door: TokenDoor): ReadonlyMap<string, ProviderJudge<Held, never>> =>
  new Map(
    [...providers].map(([name, provider]): [string, ProviderJudge<Held, never>] => [
      name,
      {
        seesToken: (request) => findTokens(provider, request).length > 0,
        judge(request, audiences) {
          const held: Held[] = []
          const found = findTokens(provider, request)
          for (const { text } of found) {
            const claims = claimsIn(provider, audiences, text, door)
            if (typeof claims === 'string') return { ok: false, problem: claims }
            held.push({ provider, claims })
          }
          return found.length === 0 ? { ok: false, problem: tokenProblems.missing } : { ok: true, verified: held }
        },
      },
    ]),
  )

function claimsIn(provider: JwtProviderPlan, audiences: readonly string[] | undefined, text: string, { nowMs, isSigned }: TokenDoor): Claims | TokenProblem {
  const token = parseToken(text, decodeBase64Url)
  if (typeof token === 'string') return token
  const problem = judgeClaims(provider, audiences, token, nowMs)
  if (problem !== undefined) return problem
  return isSigned === undefined || isSigned(text) ? token.claims : tokenProblems.signature
}

function decodeBase64Url(text: string): string {
  try {
    const bytes = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
    return new TextDecoder().decode(Uint8Array.from(bytes, (one) => one.charCodeAt(0)))
  } catch {
    // Letters that no base64 ends with: there is no text in it.
    return ''
  }
}
