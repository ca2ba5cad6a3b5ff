import http from 'node:http'
import { addressOf, pathIn } from '#api/simulate/ask.ts'
import { coveringWildcards, serviceHost } from '#api/model/host.ts'
import type { RequestsFile, RequestTest } from '#core/contract/requests-file.ts'
import { formatSocketAddress } from '#core/workload/node-message.ts'
import { filled, hostHeaderOf } from '../question.ts'
import type { Answer, Call } from './call.ts'
import { send } from './call.ts'
import { type Behaviour, BYTES, type Receipt, WORKLOAD_HEADER } from './applications.ts'
import { proxyHeaderOf } from './first-bytes.ts'
import type { Dial } from './hosts.ts'
import type { LiveCase } from './live-case.ts'
import type { LiveProxy, LogLine } from './live-proxy.ts'

/** One request as it was played: what the caller saw, what the first proxy logged, what applications saw. */
export interface Observation {
  readonly answer: Answer
  /** Of the caller's sidecar, the gateway, or the callee's where the caller has no proxy; undefined: it logged nothing. */
  readonly line: LogLine | undefined
  /** Of the callee's sidecar, where a policy of its own answered. */
  readonly callee: LogLine | undefined
  readonly receipts: readonly Receipt[]
}

/** Where a test's requests go, found once. */
export interface Route {
  readonly call: Call
  /** Whose access log tells of it. */
  readonly proxy: LiveProxy | undefined
}

const PARALLEL = 8
/** Where no copy may come only time can show that none does. */
const NONE_WITHIN_MS = 400
/** Likewise of lines: of what is to leave none, and of connections that were refused, of which each proxy does as it likes. */
const NO_LINE_WITHIN_MS = 5000
const LOOK_EVERY_MS = 10

/** Why a test cannot be played, in words. */
export class Unplayable extends Error {}

/** @throws Unplayable */
export function routeOf(live: LiveCase, test: RequestTest): Route {
  const { from } = test
  const request = filled(test.request, live.tokens)
  const url = new URL(request.url.replace(/^(tcp|tls):/, 'http:'))
  const scheme = request.url.slice(0, request.url.indexOf(':'))
  const secure = scheme === 'https' || scheme === 'tls' || request.tls !== undefined
  const port = request.port ?? (url.port === '' ? (secure ? 443 : 80) : Number(url.port))
  const headers = Object.fromEntries(Object.entries(request.headers ?? {}).filter(([name]) => name.toLowerCase() !== 'host'))
  const authority = hostHeaderOf(request) ?? url.host
  const about = { method: request.method ?? 'GET', path: pathIn(request.url), authority, headers, ...(request.body === undefined ? {} : { body: request.body }), ...(scheme === 'tcp' || scheme === 'tls' ? { bytes: true } : {}), ...(request.protocol === 'h2' ? { http2: true } : {}), ...(request.silent === true ? { silent: true } : {}), ...(request.bytewise === true ? { bytewise: true } : {}), ...(request.source === undefined ? {} : { source: request.source }) }
  const shown = request.client ?? (request.tls === 'mtls' ? 'client' : undefined)
  const client = shown === undefined ? {} : live.certificates[shown]
  const tls = secure ? { sni: request.sni ?? url.hostname, alpn: request.alpn ?? (scheme === 'https' ? ['h2', 'http/1.1'] : []), ...client, version: request.tlsVersion, cipher: request.cipher, curve: request.curve } : undefined
  const ofTls = tls === undefined ? {} : { tls }
  const by = (host: string): { dial?: Dial } => (live.captured ? { dial: live.host(host).dial } : {})

  if (from.startsWith('gateway:')) {
    const proxy = live.proxy(from.slice('gateway:'.length))
    if (proxy === undefined) throw new Unplayable(`there is no ${from}`)
    const { gatewayAddress, gatewayPorts } = proxy.node
    const proxyHeader = request.proxyProtocol === undefined ? {} : { proxyHeader: proxyHeaderOf(request.proxyProtocol.version, request.proxyProtocol.source, gatewayAddress, port) }
    return { proxy, call: { ...about, ...ofTls, ...proxyHeader, ...by('outside'), address: request.address ?? gatewayAddress, port: gatewayPorts.get(port) ?? port } }
  }
  if (request.proxyProtocol !== undefined) throw new Unplayable('only gateways are sent the PROXY protocol')
  if (from === 'outside') {
    const at = inboundOf(live, url.hostname, port)
    if (at === undefined) throw new Unplayable(`no workload stands behind ${url.host}; name the gateway`)
    return { proxy: at.proxy, call: { ...about, ...ofTls, ...by('outside'), ...at.bind } }
  }
  const proxy = live.proxy(from)
  if (proxy === undefined) throw new Unplayable(`there is no workload ${from} with a proxy`)
  if (proxy.node.outbound !== undefined) return { proxy, call: { ...about, ...proxy.node.outbound } }
  const address = request.address ?? live.names.get(url.hostname)?.[0] ?? addressOf(live.world.model.read(() => {}), url.hostname.replace(/^\[(.*)\]$/, '$1'), proxy.node.namespace)
  return { proxy, call: { ...about, ...ofTls, ...by(proxy.node.address), address, port } }
}

/** Whether a test's request leaves its application as only captured traffic does; without, applications speak plain HTTP to their proxies. */
export function needsCapture(about: RequestsFile, { from, request, captured }: RequestTest): boolean {
  const said = captured ?? about.captured
  if (said !== undefined) return said
  if (from === 'outside' || from.startsWith('gateway:')) return false
  return request.address !== undefined || request.tls !== undefined || !request.url.startsWith('http:')
}

/** Where the first workload behind a service's port takes its peers' connections. */
function inboundOf(live: LiveCase, host: string, port: number): { bind: { address: string; port: number }; proxy: LiveProxy | undefined } | undefined {
  const reader = live.world.model.read(() => {})
  const [first = '', second = ''] = host.split('.')
  const candidates = [host, ...(second === '' ? [] : [serviceHost(first, second)]), ...coveringWildcards(host)]
  for (const candidate of candidates) {
    const service = reader.service(candidate, '')
    const target = service?.ports.find((one) => one.port === port)?.targetPort
    if (service === undefined || target === undefined) continue
    for (const workload of reader.workloadsOf(service)) {
      const at = workload.ports.find((one) => one.port === target || one.name === target)
      if (at !== undefined) return { bind: at.listen, proxy: live.proxy(`${workload.name}.${workload.namespace}`) }
    }
  }
  return undefined
}

export interface ObserveOptions {
  readonly behaviour?: Behaviour
  /** Answers of applications wait until so many requests have arrived, or have been answered. */
  readonly gate?: { readonly arrived: number; readonly answered: number }
  /** Whether mirrored copies are expected, and which are enough. */
  readonly copies?: { readonly expected: boolean; readonly enough: (copies: readonly Receipt[]) => boolean }
  /** Whether a line of the first proxy is needed for each. */
  readonly needsLines?: boolean
  /** Whether the policy is to be named that refused it, which a line tells of whoever did so. */
  readonly needsPolicy?: boolean
  readonly parallel?: number | undefined
  readonly everyMs?: number
  readonly brings?: string | undefined
}

/** Plays a request so often, each with an id of its own, and gathers what became of each. */
export async function observe(live: LiveCase, route: Route, times: number, idBase: string, options: ObserveOptions = {}): Promise<Observation[]> {
  const parallel = options.parallel ?? PARALLEL
  const agent = times > 1 && route.call.dial === undefined ? new http.Agent({ keepAlive: true, maxSockets: parallel }) : undefined
  const own = Object.entries(route.call.headers).find(([name]) => name.toLowerCase() === 'user-agent')?.[1]?.toString()
  if (own !== undefined && times > 1) throw new Unplayable('a request with a user agent of its own cannot be told apart when it is repeated')
  const ids = Array.from({ length: times }, (_, index) => own ?? `${idBase}-${index}`)
  const answers: Answer[] = []
  const before = route.proxy?.linesSoFar ?? 0
  // Connections without HTTP bear no id; all that come while these are played are theirs.
  const bytes = route.call.bytes === true
  live.applications.forget(BYTES)
  if (bytes && options.behaviour !== undefined) live.applications.behave(BYTES, options.behaviour)
  const gate = options.gate === undefined ? undefined : gateOf(options.gate, times)
  const behaviourOf = (id: string): Behaviour => ({ ...options.behaviour, held: gate && (() => gate.arrive(id)) })
  let next = 0
  const work = async (): Promise<void> => {
    for (let index = next++; index < times; index = next++) {
      const id = ids[index] ?? idBase
      if (index > 0 && options.everyMs) await new Promise((resolve) => setTimeout(resolve, options.everyMs))
      if (options.behaviour !== undefined) live.applications.behave(id, behaviourOf(id))
      answers[index] = await send({ ...route.call, headers: { ...route.call.headers, ...broughtBack(options.brings, answers[0]), 'user-agent': id } }, agent, live.patienceMs)
      gate?.answer(id)
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(parallel, times) }, work))
    const withinMs = options.needsLines === true ? live.patienceMs : NO_LINE_WITHIN_MS
    const lines = bytes ? await connectionLines(route, ids, withinMs, before) : await linesOf(live, route, ids, answers, withinMs, before)
    if (options.copies !== undefined) await awaitCopies(live, ids, options.copies)
    return await Promise.all(ids.map(async (id, index): Promise<Observation> => ({
      answer: answers[index] ?? { kind: 'closed', why: 'never sent', elapsedMs: 0 },
      line: lines.get(id),
      callee: await calleeLine(live, id, answers[index], lines.get(id), options.needsPolicy === true ? live.patienceMs : NO_LINE_WITHIN_MS),
      receipts: bytes ? (index === 0 ? live.applications.received(BYTES) : []) : live.applications.received(id),
    })))
  } finally {
    gate?.open()
    agent?.destroy()
    for (const id of [...ids, BYTES]) live.applications.forget(id)
  }
}

/** Holds answers back until so many requests have arrived at applications, or so many have been answered; no longer where all the others are held as well, so that nothing more can come. */
function gateOf(least: { readonly arrived: number; readonly answered: number }, times: number): { arrive(id: string): Promise<void>; answer(id: string): void; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  const [settled, answered] = [new Set<string>(), new Set<string>()]
  let arrived = 0
  const look = (): void => {
    if ((arrived >= least.arrived && answered.size >= least.answered) || settled.size >= times) resolve()
  }
  return {
    arrive: (id) => {
      arrived += 1
      settled.add(id)
      look()
      return promise
    },
    answer: (id) => {
      settled.add(id)
      answered.add(id)
      look()
    },
    open: resolve,
  }
}

/** What a client keeps of its first answer, as its next requests say it. */
function broughtBack(name: string | undefined, first: Answer | undefined): Record<string, string> {
  const value = name === undefined || first?.kind !== 'answer' ? undefined : first.headers[name]
  if (name === undefined || value === undefined) return {}
  return name === 'set-cookie' ? { cookie: value.slice(0, value.indexOf(';')) } : { [name]: value }
}

/** The first proxy's lines by id. A connection that was closed without an answer may leave none, and is not waited for. */
async function linesOf(live: LiveCase, { proxy }: Route, ids: readonly string[], answers: readonly Answer[], withinMs: number, before: number): Promise<Map<string, LogLine>> {
  const wanted = new Set(ids)
  const answered = answers.filter((one) => one.kind === 'answer' && one.status > 0).length
  if (!live.captured) {
    const lines = await (proxy?.logged((line) => wanted.has(String(line['user_agent'])), answered, withinMs) ?? [])
    // Of several the first.
    return new Map(lines.toReversed().map((line) => [String(line['user_agent']), line]))
  }
  // Captured HTTP may be carried as bytes, of which a proxy writes a line in each case, and which bears no id.
  const lines = await (proxy?.logged((line) => wanted.has(String(line['user_agent'])) || text(line['user_agent']) === '', ids.length, withinMs, before) ?? [])
  const found = new Map(lines.filter((line) => wanted.has(String(line['user_agent']))).map((line) => [String(line['user_agent']), line]))
  const rest = lines.filter((line) => text(line['user_agent']) === '')
  for (const id of ids) {
    const line = found.has(id) ? undefined : rest.shift()
    if (line !== undefined) found.set(id, line)
  }
  return found
}

/** Connections bear no id: those that were logged since then are these, in no order that matters. */
async function connectionLines({ proxy }: Route, ids: readonly string[], withinMs: number, before: number): Promise<Map<string, LogLine>> {
  const lines = (await proxy?.logged((line) => text(line['user_agent']) === '', ids.length, withinMs, before)) ?? []
  return new Map(lines.flatMap((line, index) => (ids[index] === undefined ? [] : [[ids[index], line] as const])))
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

/** The line of whoever refused it by a policy: the first proxy itself, or the one to which that passed it on. */
async function calleeLine(live: LiveCase, id: string, answer: Answer | undefined, first: LogLine | undefined, withinMs: number): Promise<LogLine | undefined> {
  if (answer?.kind !== 'answer' || answer.status !== 403 || WORKLOAD_HEADER in answer.headers) return undefined
  const denied = (line: LogLine): boolean => line['user_agent'] === id && String(line['response_code_details']).includes('rbac_access_denied')
  if (first !== undefined && denied(first)) return first
  const upstream = String(first?.['upstream_host'] ?? '')
  const callee = live.proxies().find((proxy) => proxy.node.type === 'sidecar' && upstream.startsWith(formatSocketAddress({ address: proxy.node.address, port: 0 }).slice(0, -1)))
  const [line] = (await callee?.logged(denied, 1, withinMs)) ?? []
  return line
}

/** Waits until enough copies have come, or as long as shows that none comes. */
async function awaitCopies(live: LiveCase, ids: readonly string[], { expected, enough }: NonNullable<ObserveOptions['copies']>): Promise<void> {
  const deadlineMs = performance.now() + (expected ? live.patienceMs : NONE_WITHIN_MS)
  const complete = (): boolean => expected && enough(ids.flatMap((id) => live.applications.received(id).filter(isCopy)))
  while (!complete() && performance.now() < deadlineMs) await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
}

/** Mirrored requests bear `-shadow` after their host, as Envoy marks them. */
export const isCopy = (receipt: Receipt): boolean => /-shadow(:\d+)?$/.test(receipt.authority)
