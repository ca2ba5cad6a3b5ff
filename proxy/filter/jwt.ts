import type { JwtPlan, JwtProviderPlan, JwtRequirement } from '#core/plan/jwt.ts'
import { cookieValue } from '#core/balance/hash.ts'
import { queryParameter, withoutParameter } from '#core/match/query.ts'
import { judgeClaims, normalizeClaims, parseToken, type Token, type TokenProblem, tokenProblems } from '#core/authz/token.ts'
import { answers } from '../http/answer.ts'
import type { Engine } from '../http/engine.ts'
import type { Exchange } from '../http/exchange.ts'
import { ANSWERED, CONTINUE, type HttpFilter, WAITING } from './filter.ts'
import type { KeySet } from './key-sets.ts'

/** Tokens whose signature was found good are remembered, so many a provider: a client sends one token with many requests. */
const VERIFIED_MAX = 1000
const VERIFIED_BYTES_MAX = 4096

/** Where a request bears a token. */
interface Found {
  readonly text: string
  /** Empty: it stood elsewhere. */
  readonly header: string
  readonly parameter: string
}

interface Verified {
  readonly provider: Provider
  readonly token: Token
  readonly found: Found
}

/** `wait`: the keys must be fetched first. */
type Verdict = { readonly ok: true; readonly verified: readonly Verified[] } | { readonly ok: false; readonly problem: TokenProblem; readonly wait?: Promise<boolean> | undefined }

const PASS: Verdict = { ok: true, verified: [] }

/** Requires or reads JSON Web Tokens (Envoy's JWT filter): 401 with Envoy's words, 403 for a wrong audience. Claims of a good token go to RBAC and to routes. */
export function jwt(plan: JwtPlan, engine: Engine): HttpFilter {
  const providers = new Map([...plan.providers].map(([name, one]) => [name, new Provider(one, engine)]))
  const own = [...plan.providers.values()].flatMap((one) => [...(one.payloadHeader === '' ? [] : [one.payloadHeader]), ...one.claimHeaders.map((each) => each.header)])

  const decide = (exchange: Exchange, requirement: JwtRequirement, mayWait: boolean): typeof CONTINUE | typeof ANSWERED | typeof WAITING => {
    const verdict = judge(providers, requirement, exchange, engine.doors.clock.wallMs())
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

function judge(providers: ReadonlyMap<string, Provider>, requirement: JwtRequirement, exchange: Exchange, nowMs: number): Verdict {
  switch (requirement.kind) {
    case 'provider': {
      const provider = providers.get(requirement.provider)
      return provider === undefined ? { ok: false, problem: tokenProblems.issuer } : provider.judge(exchange, requirement.audiences, nowMs)
    }
    case 'all': {
      const verified: Verified[] = []
      for (const one of requirement.of) {
        const verdict = judge(providers, one, exchange, nowMs)
        if (!verdict.ok) return verdict
        verified.push(...verdict.verified)
      }
      return { ok: true, verified }
    }
    case 'any':
      return judgeAny(providers, requirement.of, exchange, nowMs)
    case 'allow-missing':
      return anyToken(providers, exchange) ? { ok: false, problem: tokenProblems.issuer } : PASS
    case 'allow-missing-or-failed':
      return PASS
  }
}

/**
 * The first that holds; `allow-missing` holds only where none of the others saw a token at all. When none holds, the failure that tells most is answered:
 * one of a token that was there, and of those not that of a provider whose token it is not.
 */
function judgeAny(providers: ReadonlyMap<string, Provider>, of: readonly JwtRequirement[], exchange: Exchange, nowMs: number): Verdict {
  let failure: Extract<Verdict, { ok: false }> | undefined
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
    const verdict = judge(providers, one, exchange, nowMs)
    if (verdict.ok) return verdict
    if (failure === undefined || rank(verdict.problem) >= rank(failure.problem)) failure = { ...verdict, wait: verdict.wait ?? failure?.wait }
  }
  if (failure?.wait !== undefined) return failure
  if (allowsFailed || (allowsMissing && (failure === undefined || failure.problem === tokenProblems.missing))) return PASS
  return failure ?? { ok: false, problem: tokenProblems.missing }
}

const rank = (problem: TokenProblem): number => (problem === tokenProblems.missing ? 0 : problem === tokenProblems.issuer ? 1 : 2)

const anyToken = (providers: ReadonlyMap<string, Provider>, exchange: Exchange): boolean => [...providers.values()].some((one) => one.find(exchange).length > 0)

/** A provider at work: its keys, and the tokens that they were found to have signed. */
class Provider {
  readonly #plan: JwtProviderPlan
  readonly #keys: { readonly set: KeySet; refetchEarly(): Promise<boolean> }
  readonly #verified = new Map<string, Token>()
  #epoch = -1

  constructor(plan: JwtProviderPlan, engine: Engine) {
    this.#plan = plan
    this.#keys = engine.keys.of(plan.keys)
  }

  find({ request }: Exchange): Found[] {
    const { fromHeaders, fromParams, fromCookies } = this.#plan
    const found: Found[] = []
    for (const { name, prefix } of fromHeaders) {
      const value = request.header(name)
      if (value === undefined) continue
      // The prefix may stand anywhere, and the token ends with the first letter that none can have (Envoy's extractor).
      const at = prefix === '' ? 0 : value.indexOf(prefix)
      if (at < 0) continue
      const text = prefix === '' ? value.trim() : (/^[A-Za-z0-9_.-]*/.exec(value.slice(at + prefix.length).trimStart())?.[0] ?? '')
      found.push({ text, header: name, parameter: '' })
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

  /** Every token that the request bears in this provider's places must be good, as in Envoy. */
  judge(exchange: Exchange, audiences: readonly string[] | undefined, nowMs: number): Verdict {
    const all = this.find(exchange)
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
    if (reroutes) exchange.chooseRoute()
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
