import { explainDeparture } from '#core/explain/client.ts'
import { objectId } from '#api/model/mesh-model.ts'
import type { Departure } from '#core/explain/client.ts'
import type { PlanSet, Target } from '#core/explain/trail.ts'
import type { RequestHead } from '#core/route/request.ts'
import { requestFrom } from '#core/route/request.ts'
import { RedirectAction_RedirectResponseCode as RedirectCode, type Route } from '#core/wire/gen/envoy/config/route/v3/route_components_pb.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { destinationOf, type Destination } from './recorded-destination.ts'
import { headersOf, httpDetails, type HttpDetails, routeMessage } from './recorded-http.ts'
import { upstreamDetails, type UpstreamDetails } from './recorded-upstream.ts'
import { gatewayOf, type Sent, sidecarOf, type World } from './world.ts'

/** A call that was recorded, and what became of it: a row of `simulation.jsonl` or `scenarios.jsonl`. */
export interface RecordedRow {
  readonly id: string
  readonly config: string
  readonly proxy: RecordedProxy
  readonly call: RecordedCall
  readonly expect: Expected
  /** `test`: a row of Istio's own tables. */
  readonly source?: string
}

export interface RecordedProxy {
  readonly type: 'sidecar' | 'gateway'
  readonly namespace: string
  readonly ips: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  readonly metadata?: Readonly<Record<string, string>>
}

export interface RecordedCall {
  readonly direction: 'outbound' | 'inbound' | 'gateway'
  readonly port: number
  readonly address?: string
  readonly protocol: '' | 'http' | 'http2' | 'tcp'
  readonly tls?: 'tls' | 'mtls'
  readonly sni?: string
  readonly alpn?: string
  readonly host?: string
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** The certificate that the server must show, where it is not the mesh's. */
  readonly certificate?: string
}

interface Answer {
  readonly outcome: string
  readonly to?: readonly Destination[]
  readonly unknownService?: true
  readonly redirect?: unknown
  readonly response?: unknown
  readonly http?: HttpDetails
  readonly upstream?: Readonly<Record<string, UpstreamDetails>>
}

type Expected = Answer & { readonly error?: string }

export interface Judged {
  readonly id: string
  readonly pass: boolean
  readonly got: Answer
  readonly why: string
}

/** Some address that no service has (RFC 5737). */
const NOWHERE = '198.51.100.1'

/** What becomes of a recorded call in its world. */
function answerOf(world: World, row: Pick<RecordedRow, 'proxy' | 'call' | 'source'>): { readonly answer: Answer; readonly why: string } {
  const sent = world.sentTo(recordedNode(row.proxy))
  const departure = follow(sent.plans, row.proxy, anyHost(row, allocatedHere(world, row.call)))
  const shown = departure.passed.chain?.tls?.certificates
  // A client with a certificate wants the same authority's of the server.
  if (row.call.tls === 'mtls' && shown?.includes(row.call.certificate ?? OWN_CERTIFICATE) === false) return { answer: { outcome: 'refused' }, why: `the server shows ${shown.join(', ')}` }
  return { answer: answered(sent, departure), why: departure.why }
}

const OWN_CERTIFICATE = 'default'

/** Istio's own tables leave out the host where any will do: what they assert is asserted of a request that is whole. Elsewhere a request without a host is one. */
const anyHost = ({ source }: Pick<RecordedRow, 'source'>, call: RecordedCall): RecordedCall => (source === 'test' && call.host === undefined ? { ...call, host: `${call.address ?? NOWHERE}:${call.port}` } : call)

/** An address that Istio allocated stands for the one that the same host has here. Each recorded world has one such host. */
function allocatedHere(world: World, call: RecordedCall): RecordedCall {
  if (call.address?.startsWith('240.240.') !== true) return call
  const found = [...world.model.objects()].flatMap((one) => world.model.declared(objectId(one.key))).find((one) => one.allocated !== undefined)?.allocated
  return found === undefined ? call : { ...call, address: found[0] }
}

export function judge(world: World, row: RecordedRow): Judged {
  const { answer, why } = answerOf(world, row)
  const differs = differences(row.expect, answer)
  return { id: row.id, pass: differs.length === 0, got: answer, why: differs.length === 0 ? why : `${differs.join('; ')} (${why})` }
}

/** The proxy of a row. */
export function recordedNode(proxy: RecordedProxy): ProxyNode {
  const { namespace, ips, labels = {} } = proxy
  const address = ips[0] ?? ''
  if (proxy.type === 'gateway') return gatewayOf({ name: `gateway-${address}`, namespace, labels, address })
  const workload = { name: `workload-${address}`, namespace, serviceAccount: '', labels, address, network: '', locality: '', cluster: '', ports: [], mutualTls: true, health: 'healthy' as const }
  const sidecar = { ...sidecarOf(workload, false), ...(ips.length > 1 ? { addresses: ips } : {}) }
  return proxy.metadata?.['DNS_CAPTURE'] === 'true' ? { ...sidecar, dnsCapture: true } : sidecar
}

/** A connection as the recorded call makes it, followed through the listener that its direction means. */
export function follow(plans: PlanSet, proxy: RecordedProxy, call: RecordedCall, peer: Partial<Parameters<typeof explainDeparture>[3]['peer']> = {}, request = requestOf(call)): Departure {
  const destination = call.address ?? (call.direction === 'outbound' ? NOWHERE : (proxy.ips[0] ?? ''))
  const caller = {
    peer: { address: '', port: 0, localAddress: destination, localPort: call.port, uriSans: call.tls === 'mtls' ? ['spiffe://cluster.local/ns/default/sa/default'] : [], dnsSans: [], sni: call.sni ?? '', tls: call.tls !== undefined, ...peer },
    alpn: call.alpn === undefined ? [] : [call.alpn],
    ...(destination === '' ? {} : { destination }),
  }
  if (call.direction === 'inbound') return explainDeparture(plans, call.port, request, caller, 'virtualInbound')
  return explainDeparture(plans, call.port, request, caller)
}

function requestOf(call: RecordedCall): RequestHead | undefined {
  if (call.protocol !== 'http' && call.protocol !== 'http2') return undefined
  return requestFrom({ authority: call.host ?? '', ...(call.path === undefined ? {} : { path: call.path }), ...(call.method === undefined ? {} : { method: call.method }), ...(call.headers === undefined ? {} : { headers: call.headers }), scheme: call.tls === undefined ? 'http' : 'https' })
}

function answered(sent: Sent, departure: Departure): Answer {
  const { outcome, to, passed } = departure
  const message = routeMessage(sent, passed)
  if (outcome === 'direct-response') {
    return { outcome, response: { status: departure.status, ...bodyOf(message) }, ...detailed(message, []) }
  }
  if (outcome === 'redirect') return { outcome, redirect: redirectOf(message), ...detailed(message, []) }
  if (outcome !== 'routed') return { outcome }
  const entries = weightedEntries(message)
  const led = to.map((target, index): Destination => {
    // A cluster that the route names by itself has no weight to speak of.
    const destination = destinationOf(target.cluster, to.length > 1 || entries.length > 0 ? weightsOf(departure)[index] : undefined)
    const headers = entries[index] === undefined ? undefined : headersOf(entries[index])
    return headers === undefined ? destination : { ...destination, headers }
  })
  // A destination that is none at all is told as such.
  const unknown = to.some((target) => !sent.plans.clusters.has(target.cluster) && destinationOf(target.cluster, undefined).kind === 'service')
  const upstream = Object.fromEntries(to.flatMap((target) => {
    const details = upstreamDetails(sent, target.cluster)
    return details === undefined ? [] : [[upstreamName(target), details] as const]
  }))
  return {
    outcome,
    to: led,
    ...(unknown ? { unknownService: true as const } : {}),
    ...detailed(message, led),
    ...(Object.keys(upstream).length === 0 ? {} : { upstream }),
  }
}

/** Text as it is, bytes in base64. */
function bodyOf(message: Route | undefined): { body?: string } {
  const source = message?.action.case === 'directResponse' ? message.action.value.body?.specifier : undefined
  if (source?.case === 'inlineString') return { body: source.value }
  return source?.case === 'inlineBytes' ? { body: btoa(String.fromCharCode(...source.value)) } : {}
}

function detailed(message: Route | undefined, to: readonly Destination[]): { http?: HttpDetails } {
  const details = message === undefined ? {} : httpDetails(message, to)
  return Object.keys(details).length === 0 ? {} : { http: details }
}

function weightsOf({ passed }: Departure): readonly number[] {
  const action = passed.route?.action
  const split = action?.kind === 'forward' ? action.clusters : passed.chain?.serve.kind === 'tcp' ? passed.chain.serve.clusters : undefined
  return split?.entries.map((one) => one.weight) ?? []
}

const weightedEntries = (message: Route | undefined) => (message?.action.case === 'route' && message.action.value.clusterSpecifier.case === 'weightedClusters' ? message.action.value.clusterSpecifier.value.clusters : [])

const CODES = new Map<number, number>([
  [RedirectCode.MOVED_PERMANENTLY, 301],
  [RedirectCode.FOUND, 302],
  [RedirectCode.SEE_OTHER, 303],
  [RedirectCode.TEMPORARY_REDIRECT, 307],
  [RedirectCode.PERMANENT_REDIRECT, 308],
])

function redirectOf(message: Route | undefined): unknown {
  if (message?.action.case !== 'redirect') return undefined
  const { hostRedirect, portRedirect, pathRewriteSpecifier: path, schemeRewriteSpecifier: scheme, responseCode } = message.action.value
  return {
    hostRedirect,
    ...(portRedirect === 0 ? {} : { portRedirect }),
    ...(path.case === undefined ? { pathRedirect: '' } : { [path.case]: path.value }),
    ...(scheme.case === undefined ? {} : { [scheme.case]: scheme.value }),
    code: CODES.get(responseCode),
  }
}

const upstreamName = ({ host, port, subset, cluster }: Target): string => (cluster.startsWith('inbound|') ? `inbound:${port}` : `${host}:${port}${subset === '' ? '' : `/${subset}`}`)

/** What differs, in words; what is not expected is not judged. Weights are relative. */
function differences(expected: Expected, got: Answer): string[] {
  if (expected.outcome !== got.outcome) return [`${expected.outcome} was expected, ${got.outcome} came`]
  const found: string[] = []
  const wanted = expected.to ?? []
  const led = got.to ?? []
  if (JSON.stringify(relative(wanted)) !== JSON.stringify(relative(led))) found.push(`${JSON.stringify(wanted)} was expected, ${JSON.stringify(led)} came`)
  if ((expected.unknownService === true) !== (got.unknownService === true)) found.push(expected.unknownService === true ? 'the service should not be known' : 'the service should be known')
  for (const field of ['http', 'response', 'redirect'] as const) {
    const [a, b] = [canonical(expected[field]), canonical(got[field])]
    if (a !== b) found.push(`${field}: ${a} was expected, ${b} came`)
  }
  for (const [name, wants] of Object.entries(expected.upstream ?? {})) {
    const has = got.upstream?.[name] ?? {}
    // A recording without endpoints had none to tell.
    const named = Object.fromEntries(Object.entries(has).filter(([field]) => field in wants || field !== 'endpoints'))
    const [a, b] = [canonical(wants), canonical(named)]
    if (a !== b) found.push(`${name}: ${a} was expected, ${b} came`)
  }
  return found
}

function relative(to: readonly Destination[]): unknown[] {
  const total = to.reduce((sum, one) => sum + (one.weight ?? 0), 0)
  return to.map((one) => [one.kind, one.direction, one.host, one.port, one.subset, one.headers, total === 0 ? 1 : (one.weight ?? 0) / total].map((part) => part ?? null))
}

const canonical = (value: unknown): string => JSON.stringify(value ?? {}, (_name, one: unknown) => (typeof one === 'object' && one !== null && !Array.isArray(one) ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1))) : one))
