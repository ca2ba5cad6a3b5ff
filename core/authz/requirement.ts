import { cookieValue } from '../balance/hash.ts'
import { queryParameter } from '../match/query.ts'
import type { JwtProviderPlan, JwtRequirement } from '../plan/jwt.ts'
import type { RequestHead } from '../route/request.ts'
import { type TokenProblem, tokenProblems } from './token.ts'

/** Where a request bears a token. */
export interface Found {
  readonly text: string
  /** Empty: it stood elsewhere. */
  readonly header: string
  readonly parameter: string
}

/** What a requirement makes of a request: the tokens that hold, or what is wrong. `wait`: what must come first, before it can be said. */
export type Verdict<Verified, Wait> = { readonly ok: true; readonly verified: readonly Verified[] } | { readonly ok: false; readonly problem: TokenProblem; readonly wait?: Wait | undefined }

/** An issuer's tokens, judged by whoever has its keys. */
export interface ProviderJudge<Verified, Wait> {
  /** Whether the request bears a token in one of the provider's places. */
  seesToken(request: RequestHead): boolean
  /** @param audiences in place of the provider's own, where the requirement names some */
  judge(request: RequestHead, audiences: readonly string[] | undefined): Verdict<Verified, Wait>
}

type Judges<Verified, Wait> = ReadonlyMap<string, ProviderJudge<Verified, Wait>>

/** The tokens in a provider's places, in the order in which Envoy looks: headers, parameters, cookies. */
export function findTokens({ fromHeaders, fromParams, fromCookies }: JwtProviderPlan, request: RequestHead): Found[] {
  const found: Found[] = []
  for (const { name, prefix } of fromHeaders) {
    const value = request.header(name)
    if (value === undefined) continue
    // The prefix may stand anywhere, and all that follows is the token: of a list, whose first token alone was looked at, whoever is behind might read the last.
    const at = value.indexOf(prefix)
    if (at >= 0) found.push({ text: value.slice(at + prefix.length).trim(), header: name, parameter: '' })
  }
  for (const name of fromParams) {
    const text = queryParameter(request.path, name)
    if (text !== undefined) found.push({ text, header: '', parameter: name })
  }
  for (const name of fromCookies) {
    const text = cookieValue(request.header('cookie'), name)
    if (text !== undefined) found.push({ text, header: '', parameter: '' })
  }
  return found
}

/** Whether a request bears the tokens that it must, as Envoy's JWT filter judges it. */
export function judgeRequirement<Verified, Wait>(judges: Judges<Verified, Wait>, requirement: JwtRequirement, request: RequestHead): Verdict<Verified, Wait> {
  switch (requirement.kind) {
    case 'provider':
      return judges.get(requirement.provider)?.judge(request, requirement.audiences) ?? { ok: false, problem: tokenProblems.issuer }
    case 'all': {
      const verified: Verified[] = []
      for (const one of requirement.of) {
        const verdict = judgeRequirement(judges, one, request)
        if (!verdict.ok) return verdict
        verified.push(...verdict.verified)
      }
      return { ok: true, verified }
    }
    case 'any':
      return judgeAny(judges, requirement.of, request)
    case 'allow-missing':
      return [...judges.values()].some((one) => one.seesToken(request)) ? { ok: false, problem: tokenProblems.issuer } : { ok: true, verified: [] }
    case 'allow-missing-or-failed':
      return { ok: true, verified: [] }
  }
}

/**
 * The first that holds; `allow-missing` holds only where none of the others saw a token at all. When none holds, the failure that tells most is answered:
 * one of a token that was there, and of those not that of a provider whose token it is not.
 */
function judgeAny<Verified, Wait>(judges: Judges<Verified, Wait>, of: readonly JwtRequirement[], request: RequestHead): Verdict<Verified, Wait> {
  let failure: Extract<Verdict<Verified, Wait>, { ok: false }> | undefined
  let allowsMissing = false
  let allowsFailed = false
  for (const one of of) {
    if (one.kind === 'allow-missing') {
      allowsMissing = true
      continue
    }
    if (one.kind === 'allow-missing-or-failed') {
      allowsFailed = true
      continue
    }
    const verdict = judgeRequirement(judges, one, request)
    if (verdict.ok) return verdict
    if (failure === undefined || rank(verdict.problem) >= rank(failure.problem)) failure = { ...verdict, wait: verdict.wait ?? failure?.wait }
  }
  if (failure?.wait !== undefined) return failure
  if (allowsFailed || (allowsMissing && (failure === undefined || failure.problem === tokenProblems.missing))) return { ok: true, verified: [] }
  return failure ?? { ok: false, problem: tokenProblems.missing }
}

const rank = (problem: TokenProblem): number => (problem === tokenProblems.missing ? 0 : problem === tokenProblems.issuer ? 1 : 2)
