import type { JwtPlan, JwtProviderPlan, JwtRequirement } from '#core/plan/jwt.ts'
import { withoutParameter } from '#core/match/query.ts'
import type { RequestHead } from '#core/route/request.ts'
import { findTokens, type Found, judgeRequirement, type ProviderJudge, type Verdict } from '#core/authz/requirement.ts'
import { judgeClaims, normalizeClaims, parseToken, type Token, type TokenProblem, tokenProblems } from '#core/authz/token.ts'
import { answers } from '../http/answer.ts'
import { chooseRoute } from '../http/choose-route.ts'
import type { Engine } from '../http/engine.ts'
import type { Exchange } from '../http/exchange.ts'
import { ANSWERED, CONTINUE, type HttpFilter, WAITING } from './filter.ts'
import type { KeySet } from './key-sets.ts'

/** Tokens whose signature was found good are remembered, so many a provider: a client sends one token with many requests. */
const VERIFIED_MAX = 1000
const VERIFIED_BYTES_MAX = 4096

interface Verified {
  readonly provider: Provider
  readonly token: Token
  readonly found: Found
}

/** `wait`: the keys must be fetched first. */
type OfTokens = Verdict<Verified, Promise<boolean>>

/** Requires or reads JSON Web Tokens (Envoy's JWT filter): 401 with Envoy's words, 403 for a wrong audience. Claims of a good token go to RBAC and to routes. */
export function jwt(plan: JwtPlan, engine: Engine): HttpFilter {
  const providers = new Map([...plan.providers].map(([name, one]) => [name, new Provider(one, engine)]))
  const own = [...plan.providers.values()].flatMap((one) => [...(one.payloadHeader === '' ? [] : [one.payloadHeader]), ...one.claimHeaders.map((each) => each.header)])

  const decide = (exchange: Exchange, requirement: JwtRequirement, mayWait: boolean): typeof CONTINUE | typeof ANSWERED | typeof WAITING => {
    const verdict = judgeRequirement(providers, requirement, exchange.request)
    if (verdict.ok) {
      for (const one of verdict.verified) one.provider.accept(exchange, one)
      return CONTINUE
    }
    if (verdict.wait !== undefined && mayWait) {
      void verdict.wait.then(() => {
        if (!exchange.over && decide(exchange, requirement, false) === CONTINUE) exchange.resumeFilters()
      })
      return WAITING
    }
    const { request } = exchange
    const missing = verdict.problem === tokenProblems.missing
    const challenge = plan.stripFailureResponse ? '' : `www-authenticate: Bearer realm="${request.scheme}://${request.authority}${request.path.split('?')[0]?.replace(/["\\]/g, '') ?? ''}"${missing ? '' : ', error="invalid_token"'}\r\n`
    exchange.policy = verdict.problem
    exchange.answerWith(answers.tokenRefused(verdict.problem === tokenProblems.audience ? 403 : 401, verdict.problem, challenge, plan.stripFailureResponse))
    return ANSWERED
  }

  return (exchange) => {
    const { request, route } = exchange
    // A client may not say what only a verified token says.
    for (const name of own) exchange.removeRequestHeader(name)
    if (route?.jwt?.disabled === true) return CONTINUE
    if (plan.bypassCorsPreflight && request.method === 'OPTIONS' && request.header('origin') !== undefined && request.header('access-control-request-method') !== undefined) return CONTINUE
    const named = route?.jwt?.requirement
    if (named !== undefined) {
      const requirement = plan.requirements.get(named)
      if (requirement !== undefined) return decide(exchange, requirement, true)
      exchange.answerWith(answers.tokenRefused(403, `Wrong requirement_name: ${named}`, '', false))
      return ANSWERED
    }
    const rule = plan.rules.find((one) => one.matches(request))
    return rule?.requirement === undefined ? CONTINUE : decide(exchange, rule.requirement, true)
  }
}

/** A provider at work: its keys, and the tokens that they were found to have signed. */
class Provider implements ProviderJudge<Verified, Promise<boolean>> {
  readonly #plan: JwtProviderPlan
  readonly #engine: Engine
  readonly #keys: { readonly set: KeySet; refetchEarly(): Promise<boolean> }
  readonly #verified = new Map<string, Token>()
  #epoch = -1

  constructor(plan: JwtProviderPlan, engine: Engine) {
    this.#plan = plan
    this.#engine = engine
    this.#keys = engine.keys.of(plan.keys)
  }

  seesToken(request: RequestHead): boolean {
    return findTokens(this.#plan, request).length > 0
  }

  /** Every token that the request bears in this provider's places must be good, as in Envoy. */
  judge(request: RequestHead, audiences: readonly string[] | undefined): OfTokens {
    const all = findTokens(this.#plan, request)
    const nowMs = this.#engine.doors.clock.wallMs()
    if (all.length === 0) return { ok: false, problem: tokenProblems.missing }
    const verified: Verified[] = []
    for (const found of all) {
      const token = this.#known(found.text) ?? parseToken(found.text, decodeBase64Url)
      if (typeof token === 'string') return { ok: false, problem: token }
      const claimed = judgeClaims(this.#plan, audiences, token, nowMs)
      if (claimed !== undefined) return { ok: false, problem: claimed }
      const problem = this.#checkSignature(found.text, token)
      if (problem !== undefined) {
        const unknown = problem === tokenProblems.noKey || problem === tokenProblems.noKeys
        return { ok: false, problem, wait: unknown && this.#plan.keys.kind === 'remote' ? this.#keys.refetchEarly() : undefined }
      }
      verified.push({ provider: this, token, found })
    }
    return { ok: true, verified }
  }

  #known(text: string): Token | undefined {
    const { epoch } = this.#keys.set
    if (epoch !== this.#epoch) {
      this.#verified.clear()
      this.#epoch = epoch
    }
    return this.#verified.get(text)
  }

  #checkSignature(text: string, token: Token): TokenProblem | undefined {
    if (this.#verified.get(text) === token) return undefined
    const problem = this.#keys.set.check(token)
    if (problem !== undefined) return problem
    if (text.length <= VERIFIED_BYTES_MAX) {
      if (this.#verified.size >= VERIFIED_MAX) for (const oldest of this.#verified.keys()) if (this.#verified.delete(oldest)) break
      this.#verified.set(text, token)
    }
    return undefined
  }

  /** What a good token changes of its request. */
  accept(exchange: Exchange, { token, found }: Verified): void {
    const { request } = exchange
    const { forward, payloadHeader, payloadPadded, claimHeaders, tellsClaims, reroutes } = this.#plan
    if (!forward && found.header !== '') exchange.removeRequestHeader(found.header)
    if (!forward && found.parameter !== '') request.path = withoutParameter(request.path, found.parameter)
    if (payloadHeader !== '') exchange.addRequestHeader(payloadHeader, payloadPadded ? token.payload.padEnd(Math.ceil(token.payload.length / 4) * 4, '=') : token.payload)
    for (const { header, claim } of claimHeaders) {
      const value = claimText(token.claims, claim)
      if (value !== undefined) exchange.addRequestHeader(header, value)
    }
    if (tellsClaims) request.claims = normalizeClaims(this.#plan, token.claims)
    if (reroutes) chooseRoute(exchange)
  }
}

const decodeBase64Url = (text: string): string => Buffer.from(text, 'base64url').toString('utf8')

/** Texts, numbers and booleans as they are, lists and objects as base64url of their JSON (claim_to_headers). */
function claimText(claims: Readonly<Record<string, unknown>>, path: readonly string[]): string | undefined {
  let value: unknown = claims
  for (const key of path) value = typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined
  switch (typeof value) {
    case 'string':
      return Buffer.from(value.replace(/[\r\n\0]/g, ''), 'utf8').toString('latin1')
    case 'number':
    case 'boolean':
      return String(value)
    case 'object':
      return value === null ? undefined : Buffer.from(JSON.stringify(value)).toString('base64url')
    default:
      return undefined
  }
}
