import { meets } from '#api/simulate/expect.ts'
import { destinationOf, type Destination } from '#api/simulate/recorded-destination.ts'
import { healthyEndpoints } from '#core/explain/client.ts'
import type { PlanSet } from '#core/explain/trail.ts'
import type { Expectation, RequestTest } from '#core/contract/requests-file.ts'
import { isAddress } from '#core/match/cidr.ts'
import { durationMs } from '#core/resource/duration.ts'
import { type Receipt, WORKLOAD_HEADER } from './applications.ts'
import { isUnlikely } from './chance.ts'
import type { LiveCase } from './live-case.ts'
import { collectedWrong, connectionsWrong, logWrong, metricsWrong, receivedWrong, statusesWrong } from './judge-details.ts'
import { isCopy, observe, type Observation, routeOf, type Route } from './observe.ts'

/** What was played, in words of the format; `wrong` is empty when all is as expected. */
export interface Verdict {
  readonly wrong: readonly string[]
  readonly got: { readonly outcome: string; readonly status: number | undefined; readonly by: string | undefined; readonly to: readonly string[] }
}

/** Enough that one in four is told from one in two, and one in ten from one in four, with near certainty. */
const WEIGHED_TIMES = 400
/** Enough that others than those that are expected show. */
const SEVERAL_TIMES = 60
/** Who is expected, and has not come by chance, is given this many requests: of one in twenty, one run in ten thousand million still sees none. */
const SEVERAL_TIMES_MAX = 460
/** What is longer is not waited for. */
const TIMEOUT_PLAYED_MAX_MS = 3000
/** Longer than any wait here. */
const NEVER_MS = 3_600_000

type Wanted = NonNullable<Expectation['to']>[number]

/** Plays a test and judges what its expectation names. @throws Unplayable */
export async function play(live: LiveCase, test: RequestTest, id: string): Promise<Verdict> {
  const expect = withTokens(test.expect, live)
  const route = routeOf(live, test)
  if (test.healthy !== undefined) await live.setHealth(test.healthy)
  if (test.wait !== undefined) await new Promise((resolve) => setTimeout(resolve, durationMs(test.wait ?? '0s')))
  const collectedBefore = live.applications.collected().length
  const times = test.repeat ?? timesFor(expect)
  const { delay, together = 0, after = 0, ...application } = test.application ?? {}
  const gate = together + after === 0 ? {} : { gate: { arrived: together, answered: after } }
  const behaviour = test.application === undefined ? {} : { behaviour: { ...application, ...(delay === undefined ? {} : { delayMs: durationMs(delay) }) } }
  const plans = route.proxy === undefined ? undefined : live.world.plansOf(route.proxy.node)
  const { mirrors } = expect
  const copies = mirrors === undefined ? {} : { copies: { expected: mirrors.length > 0, enough: (copies: readonly Receipt[]) => mirrorsWrong(mirrors, copies, times, plans).length === 0 } }
  const options = { ...behaviour, ...gate, ...copies, needsLines: needsLines(expect), needsPolicy: expect.by !== undefined, parallel: test.every === undefined && test.brings === undefined ? test.parallel : 1, brings: test.brings, everyMs: test.every === undefined ? 0 : durationMs(test.every) }
  const seen = await observe(live, route, times, id, options)
  // Where chance decides who gets a request, it is made again until all have come.
  for (let round = 1; mayMeetOthers(test) && lacks(expect, seen) && seen.length < SEVERAL_TIMES_MAX; round++) seen.push(...(await observe(live, route, times, `${id}-${round}`, options)))
  const wrong = [
    ...outcomeWrong(expect, seen),
    ...answerWrong(expect, seen),
    ...requestWrong(expect, seen),
    ...(expect.to === undefined ? [] : destinationsWrong(expect.to, seen, plans)),
    ...(mirrors === undefined ? [] : mirrorsWrong(mirrors, seen.flatMap((one) => one.receipts.filter(isCopy)), seen.length, plans)),
    ...(expect.answeredBy === undefined ? [] : answeredByWrong(expect.answeredBy, seen)),
    ...(expect.by === undefined ? [] : seen.slice(0, 1).flatMap((one) => byWrong(expect.by ?? '', one))),
    ...(expect.statuses === undefined ? [] : statusesWrong(expect.statuses, seen)),
    ...(expect.connections === undefined ? [] : connectionsWrong(expect.connections, seen)),
    ...(expect.received === undefined ? [] : await receivedWrong(expect.received, seen, live.patienceMs)),
    ...(expect.logged === undefined ? [] : seen.flatMap((one) => ((one.line !== undefined) === expect.logged ? [] : [expect.logged === true ? 'a line in the log was expected, none came' : 'no line in the log was expected, one came']))),
    ...(expect.log === undefined ? [] : seen.flatMap((one) => logWrong(expect.log ?? {}, one.line))),
    ...(expect.metrics === undefined || route.proxy === undefined ? [] : await metricsWrong(expect.metrics, route.proxy, live.patienceMs)),
    ...(expect.collected === undefined ? [] : await collectedWrong(expect.collected, (from) => live.applications.collected(from), collectedBefore, live.patienceMs)),
    ...(await probes(live, route, test, id)),
    ...live.rejections(),
  ]
  return { wrong: [...new Set(wrong)], got: gotOf(seen) }
}

/** Tokens of the run that an application must get. */
const withTokens = (expect: Expectation, { tokens }: LiveCase): Expectation =>
  expect.headers === undefined ? expect : { ...expect, headers: Object.fromEntries(Object.entries(expect.headers).map(([name, value]) => [name, tokens.fill(value)])) }

function timesFor(expect: Expectation): number {
  if (expect.answeredBy !== undefined && expect.answeredBy !== 'one' && !Array.isArray(expect.answeredBy)) return WEIGHED_TIMES
  if (expect.share !== undefined || (expect.to ?? []).filter((one) => one.weight !== undefined).length > 1) return WEIGHED_TIMES
  if ((expect.mirrors ?? []).some((one) => one.percent !== undefined && one.percent < 100)) return WEIGHED_TIMES
  if ((expect.to ?? []).length > 1 || expect.answeredBy === 'one' || (Array.isArray(expect.answeredBy) && expect.answeredBy.length > 1)) return SEVERAL_TIMES
  return 1
}

/** What the caller’s answer alone does not show. */
const LOGGED_OUTCOMES: readonly (string | undefined)[] = ['direct-response', 'not-found', 'blocked']

/** Whether what is expected is told by lines of the log. */
const needsLines = ({ to, by, log, logged, outcome }: Expectation): boolean => logged ?? (to !== undefined || by !== undefined || log !== undefined || LOGGED_OUTCOMES.includes(outcome))

/** Several of which each gets a share of its own, and nothing that counts requests. */
const mayMeetOthers = ({ expect, every, brings }: RequestTest): boolean => every === undefined && brings === undefined && expect.statuses === undefined && expect.share === undefined && expect.connections === undefined && expect.mirrors === undefined

/** Whether some destination or workload that is expected has not come yet. */
function lacks({ to = [], answeredBy }: Expectation, seen: readonly Observation[]): boolean {
  const destinations = to.length > 1 && to.every((one) => one.weight === undefined) ? to : []
  const led = seen.map((one) => destinationOf(text(one.line?.['upstream_cluster']), undefined))
  const who = new Set(seen.map(answererOf))
  // Where no application answers it is not chance that keeps one away.
  if (who.has('')) return false
  return (isList(answeredBy) && answeredBy.length > 1 && answeredBy.some((one) => !who.has(one))) || destinations.some((wanted) => !led.some((one) => leadsTo(wanted, one)))
}

const statusOf = ({ answer }: Observation): number | undefined => (answer.kind === 'answer' ? answer.status : undefined)
const isEcho = ({ answer }: Observation): boolean => answer.kind === 'answer' && (WORKLOAD_HEADER in answer.headers || answer.status === 0)
const text = (value: unknown): string => (typeof value === 'string' ? value : '')

/** By the names of the format; several where what is seen from outside leaves it open. */
function outcomesOf(one: Observation): string[] {
  const { answer, line } = one
  if (isEcho(one)) return ['routed']
  if (text(line?.['upstream_cluster']) === 'BlackHoleCluster') return ['blocked']
  const details = text(line?.['response_code_details'])
  const flags = text(line?.['response_flags'])
  // The line of the caller's proxy says that it went on, and the other end did not answer.
  if (answer.kind === 'closed') return text(line?.['upstream_cluster']) === '' ? ['refused', 'blocked'] : ['refused', 'blocked', 'routed']
  if (details.includes('rbac_access_denied') || (answer.status === 403 && answer.body.startsWith('RBAC: access denied'))) return ['refused']
  const { location } = answer.headers
  if (location !== undefined && answer.status >= 300 && answer.status < 400) return location.startsWith('https://') ? ['redirect', 'https-redirect'] : ['redirect']
  if (details === 'direct_response') return ['direct-response']
  if (flags.includes('NR') || details === 'route_not_found') return ['not-found']
  // The callee's proxy closed the connection: from here that is a broken one.
  if (/U[CF]/.test(flags)) return ['refused', 'routed']
  return ['routed']
}

function outcomeWrong(expect: Expectation, seen: readonly Observation[]): string[] {
  return seen.flatMap((one) => {
    const outcomes = outcomesOf(one)
    const found = expect.outcome === undefined || outcomes.includes(expect.outcome) ? [] : [`outcome ${expect.outcome} was expected, ${outcomes.join(' or ')} came (${wordsOf(one)})`]
    const status = statusOf(one)
    if (expect.status !== undefined && expect.share === undefined && status !== expect.status && !(outcomes.includes('refused') && status === undefined && expect.status >= 500)) found.push(`status ${expect.status} was expected, ${status ?? 'no answer'} came (${wordsOf(one)})`)
    return found
  })
}

function wordsOf({ answer, line }: Observation): string {
  const said = answer.kind === 'closed' ? answer.why : `${answer.status} ${answer.body.slice(0, 80).replaceAll('\n', ' ')}`
  return line === undefined ? said : `${said}; ${[line['response_flags'], line['response_code_details'], line['upstream_cluster'], line['upstream_transport_failure_reason']].filter((one) => text(one) !== '').join(' ')}`
}

function answerWrong(expect: Expectation, seen: readonly Observation[]): string[] {
  const found: string[] = []
  for (const one of seen) {
    const { answer } = one
    const headers = answer.kind === 'answer' ? answer.headers : {}
    for (const [name, value] of Object.entries(expect.answer?.headers ?? {})) if (!meets(value, headers[name.toLowerCase()])) found.push(`answer header ${name}: ${value} was expected, ${headers[name.toLowerCase()] ?? 'none'} came`)
    for (const name of expect.answer?.withoutHeaders ?? []) if (headers[name.toLowerCase()] !== undefined) found.push(`answer header ${name} was not expected, ${headers[name.toLowerCase()] ?? ''} came`)
    if (expect.answer?.body !== undefined && (answer.kind !== 'answer' || !meets(expect.answer.body, answer.body))) found.push(`body ${JSON.stringify(expect.answer.body)} was expected, ${wordsOf(one)} came`)
    if (expect.location !== undefined && headers['location'] !== expect.location) found.push(`location ${expect.location} was expected, ${headers['location'] ?? 'none'} came`)
    if (expect.elapsed?.least !== undefined && answer.elapsedMs < durationMs(expect.elapsed.least) - 5) found.push(`an answer after ${expect.elapsed.least} was expected, it came after ${Math.round(answer.elapsedMs)} ms`)
    if (expect.elapsed?.most !== undefined && answer.elapsedMs > durationMs(expect.elapsed.most)) found.push(`an answer within ${expect.elapsed.most} was expected, it came after ${Math.round(answer.elapsedMs)} ms`)
  }
  if (expect.share !== undefined) {
    const count = seen.filter((one) => statusOf(one) === expect.status).length
    if (isUnlikely(count, seen.length, expect.share / 100)) found.push(`status ${expect.status ?? ''} for ${expect.share} % was expected, ${count} of ${seen.length} came`)
    const others = seen.filter((one) => statusOf(one) !== expect.status && !isEcho(one))
    if (others.length > 0) found.push(`the others should be answered by the application, and ${others.length} were not`)
  }
  return found
}

function requestWrong(expect: Expectation, seen: readonly Observation[]): string[] {
  const found: string[] = []
  for (const one of seen) {
    const arrived = one.receipts.filter((receipt) => !isCopy(receipt))
    if (expect.attempts !== undefined && arrived.length !== expect.attempts) found.push(`${expect.attempts} attempts were expected, ${arrived.length} came (${wordsOf(one)})`)
    const last = arrived.at(-1)
    const judges = expect.headers ?? expect.withoutHeaders ?? expect.rewrite
    if (judges === undefined) continue
    if (last === undefined) {
      found.push(`no application saw the request (${wordsOf(one)})`)
      continue
    }
    for (const [name, value] of Object.entries(expect.headers ?? {})) {
      const came = name.toLowerCase() === 'host' || name === ':authority' ? last.authority : last.headers[name.toLowerCase()]
      if (!meets(value, came)) found.push(`header ${name}: ${value} was expected, ${came ?? 'none'} arrived`)
    }
    for (const name of expect.withoutHeaders ?? []) if (last.headers[name.toLowerCase()] !== undefined) found.push(`header ${name} was not expected, ${last.headers[name.toLowerCase()] ?? ''} arrived`)
    if (expect.rewrite?.path !== undefined && last.path !== expect.rewrite.path) found.push(`rewritten path ${expect.rewrite.path} was expected, ${last.path} arrived`)
    if (expect.rewrite?.authority !== undefined && last.authority !== expect.rewrite.authority) found.push(`rewritten authority ${expect.rewrite.authority} was expected, ${last.authority} arrived`)
  }
  return found
}

/** The clusters that requests were sent to, by count; an application that answers must be one of its cluster's endpoints. */
function destinationsWrong(wanted: readonly Wanted[], seen: readonly Observation[], plans: PlanSet | undefined): string[] {
  const found: string[] = []
  const counts = wanted.map(() => 0)
  for (const one of seen) {
    const cluster = text(one.line?.['upstream_cluster'])
    const led = destinationOf(cluster, undefined)
    const index = wanted.findIndex((candidate) => leadsTo(candidate, led))
    if (index < 0) {
      found.push(`to ${wanted.map(nameOf).join(', ')} was expected, ${cluster === '' ? 'nowhere' : cluster} came (${wordsOf(one)})`)
      continue
    }
    counts[index] = (counts[index] ?? 0) + 1
    const who = one.answer.kind === 'answer' ? one.answer.headers[WORKLOAD_HEADER] : undefined
    const host = text(one.line?.['upstream_host'])
    const known = plans && endpointsOf(plans, cluster)
    // What the proxy resolves is known by its name alone.
    const byName = known?.some((key) => !isAddress(key.slice(0, key.lastIndexOf(':')))) ?? false
    if (who !== undefined && known !== undefined && known.length > 0 && !byName && host !== '' && !known.includes(host)) found.push(`${who} at ${host} answered, which is no endpoint of ${cluster}`)
  }
  const total = wanted.reduce((sum, one) => sum + (one.weight ?? 0), 0)
  for (const [index, one] of wanted.entries()) {
    const count = counts[index] ?? 0
    if (one.weight !== undefined && total > 0 ? isUnlikely(count, seen.length, one.weight / total) : count === 0 && found.length === 0) found.push(`${nameOf(one)} was expected${one.weight === undefined ? '' : ` for ${one.weight} of ${total}`}, ${count} of ${seen.length} came`)
  }
  return found
}

const leadsTo = (wanted: Wanted, led: Destination): boolean => (['kind', 'host', 'subset', 'port'] as const).every((field) => wanted[field] === undefined || wanted[field] === (led[field] ?? (field === 'subset' ? '' : undefined)))
const nameOf = (one: { host?: string | undefined; subset?: string | undefined; kind?: string | undefined }): string => `${one.host ?? one.kind ?? ''}${one.subset === undefined || one.subset === '' ? '' : ` ${one.subset}`}`.trim()

function endpointsOf(plans: PlanSet, name: string): readonly string[] {
  const cluster = plans.clusters.get(name)
  return cluster === undefined ? [] : healthyEndpoints(plans, cluster).map((one) => one.key)
}

function mirrorsWrong(wanted: NonNullable<Expectation['mirrors']>, copies: readonly Receipt[], times: number, plans: PlanSet | undefined): string[] {
  if (wanted.length === 0) return copies.length === 0 ? [] : [`no mirror was expected, ${copies[0]?.workload ?? ''} got a copy`]
  // Several mirrors of one destination are told apart by nobody.
  const groups = Map.groupBy(wanted, (one) => nameOf(one))
  const found = [...groups].flatMap(([name, of]) => {
    const [first] = of
    const endpoints = new Set([...(plans?.clusters.keys() ?? [])].filter((cluster) => first !== undefined && leadsTo(first, destinationOf(cluster, undefined))).flatMap((cluster) => (plans === undefined ? [] : endpointsOf(plans, cluster))))
    const expected = of.reduce((sum, one) => sum + (one.percent ?? 100) / 100, 0)
    const came = copies.filter((copy) => endpoints.size === 0 || [...endpoints].some((one) => one.startsWith(`${copy.address}:`))).length
    const wrong = expected > 1 ? came < times : isUnlikely(came, times, expected)
    return wrong ? [`a copy of ${100 * expected} % to ${name} was expected, ${came} of ${times} came`] : []
  })
  return found
}

const answererOf = ({ answer }: Observation): string => (answer.kind === 'closed' ? '' : (answer.headers[WORKLOAD_HEADER] ?? (answer.status === 0 ? answer.body.trim() : '')))

function answeredByWrong(wanted: 'one' | readonly string[] | Readonly<Record<string, number>>, seen: readonly Observation[]): string[] {
  const who = seen.map(answererOf)
  const came = [...new Set(who)].sort().map((one) => (one === '' ? 'no application' : one))
  if (wanted === 'one') return came.length === 1 && !who.includes('') ? [] : [`one workload was expected to answer, ${came.join(', ')} did`]
  if (isList(wanted)) {
    const names = [...wanted].sort()
    return JSON.stringify(names) === JSON.stringify(came) ? [] : [`answers of ${names.join(', ')} were expected, ${came.join(', ')} answered`]
  }
  const total = Object.values(wanted).reduce((sum, one) => sum + one, 0)
  const others = who.filter((one) => wanted[one] === undefined)
  return [
    ...Object.entries(wanted).flatMap(([name, share]) => {
      const count = who.filter((one) => one === name).length
      return isUnlikely(count, who.length, share / total) ? [`${name} was expected to answer ${share} of ${total}, it did ${count} of ${who.length}`] : []
    }),
    ...(others.length === 0 ? [] : [`${others.length} answers came from others: ${[...new Set(others)].join(', ') || 'no application'}`]),
  ]
}

const isList = (value: unknown): value is readonly string[] => Array.isArray(value)

function byWrong(wanted: string, one: Observation): string[] {
  if (one.answer.kind === 'closed' || wanted.startsWith('PeerAuthentication/')) return []
  const denial = /rbac_access_denied_matched_policy\[(?:ns\[(?<namespace>[^\]]*)\]-policy\[(?<name>[^\]]*)\])?/.exec(text(one.callee?.['response_code_details'] ?? one.line?.['response_code_details']))
  if (denial !== null) {
    const { namespace, name } = denial.groups ?? {}
    const by = namespace === undefined ? 'no policy that allows it' : `AuthorizationPolicy/${namespace}/${name ?? ''}`
    return wanted === by || wanted.startsWith(`${by} `) ? [] : [`by ${wanted} was expected, ${by} came`]
  }
  const by = text(one.line?.['origin'])
  const whole = `${by} ${text(one.line?.['origin_field'])}`
  return wanted === by || wanted === whole ? [] : [`by ${wanted} was expected, ${whole.trim() === '' ? 'none' : whole.trim()} came`]
}

/** What a single request does not show: a timeout needs a slow application, retries a failing one. */
async function probes(live: LiveCase, route: Route, test: RequestTest, id: string): Promise<string[]> {
  const { expect } = test
  const found: string[] = []
  const timeoutMs = expect.timeout === undefined ? 0 : durationMs(expect.timeout)
  if (timeoutMs > 0 && timeoutMs <= TIMEOUT_PLAYED_MAX_MS) {
    const [one] = await observe(live, route, 1, `${id}-slow`, { behaviour: { delayMs: NEVER_MS } })
    if (one !== undefined && statusOf(one) !== 504) found.push(`a timeout of ${timeoutMs} ms was expected, ${statusOf(one) ?? 'no answer'} came after ${Math.round(one.answer.elapsedMs)} ms`)
    else if (one !== undefined && one.answer.elapsedMs < timeoutMs - 10) found.push(`a timeout of ${timeoutMs} ms was expected, it came after ${Math.round(one.answer.elapsedMs)} ms`)
  }
  if (expect.retries !== undefined) {
    const { status = 503, reset } = test.application ?? {}
    const [one] = await observe(live, route, 1, `${id}-failing`, { behaviour: reset === true ? { reset } : { status } })
    const attempts = one?.receipts.filter((receipt) => !isCopy(receipt)).length ?? 0
    if (attempts !== expect.retries + 1) found.push(`${expect.retries} retries were expected, ${attempts - 1} came`)
  }
  return found
}

function gotOf(seen: readonly Observation[]): Verdict['got'] {
  const [first] = seen
  return {
    outcome: first === undefined ? '' : (outcomesOf(first)[0] ?? ''),
    status: first && statusOf(first),
    by: first === undefined || text(first.line?.['origin']) === '' ? undefined : text(first.line?.['origin']),
    to: [...new Set(seen.map((one) => text(one.line?.['upstream_cluster'])).filter((one) => one !== ''))],
  }
}
