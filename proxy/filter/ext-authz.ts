import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { HeaderValueOption } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { type CheckRequest, CheckRequestSchema, CheckResponseSchema } from '#core/wire/gen/envoy/service/auth/v3/external_auth_pb.ts'
import type { ExtAuthzPlan } from '#core/plan/ext-authz.ts'
import type { StringMatchPlan } from '#core/plan/listener.ts'
import { answers } from '../http/answer.ts'
import { chooseRoute } from '../http/choose-route.ts'
import type { Engine } from '../http/engine.ts'
import type { Exchange } from '../http/exchange.ts'
import { NO_BODY } from '../http/body.ts'
import { CONTINUE, type HttpFilter, WAITING, ANSWERED } from './filter.ts'
import { wireText } from '#core/wire/wire-text.ts'
import { isField } from './service-field.ts'

type Field = readonly [name: string, value: string]

/** What a service said of a request. */
type Verdict =
  | { readonly kind: 'yes'; readonly set: readonly Field[]; readonly add: readonly Field[]; readonly remove: readonly string[]; readonly answer: readonly Field[] }
  | { readonly kind: 'no'; readonly status: number; readonly body: string; readonly fields: readonly Field[] }

const CHECK = '/envoy.service.auth.v3.Authorization/Check'

/** Never copied from an authorizer's answer: they frame the message or belong to the hop. */
const OF_THE_HOP: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'upgrade', 'te', 'trailer', 'proxy-connection', 'host', 'date', 'server'])

/**
 * Asks another service about each request (Envoy's ext_authz filter). While it has not answered nothing goes upstream; when it cannot answer the request is refused, unless
 * the plan says otherwise. Refusals bear the flag UAEX.
 */
export function extAuthz(plan: ExtAuthzPlan, engine: Engine): HttpFilter {
  const check = async (exchange: Exchange, body: Buffer | undefined): Promise<void> => {
    let verdict: Verdict
    try {
      verdict = plan.service.kind === 'grpc' ? await askGrpc(plan, plan.service, engine, exchange, body) : await askHttp(plan, plan.service, engine, exchange, body)
    } catch (error) {
      if (exchange.over) return
      exchange.policy = `ext_authz ${plan.service.cluster}: ${error instanceof Error ? error.message : String(error)}`
      if (!plan.failsOpen) return exchange.answerWith(answers.authorizerFailed(plan.statusOnError))
      if (plan.failureModeHeader) exchange.requestFields += 'x-envoy-auth-failure-mode-allowed: true\r\n'
      return exchange.resumeFilters()
    }
    if (exchange.over) return
    if (verdict.kind === 'no') {
      exchange.policy = `ext_authz ${plan.service.cluster}: denied`
      return exchange.answerWith(answers.authorizerDenied(verdict.status, verdict.body, lines(verdict.fields)))
    }
    accept(exchange, verdict)
    if (plan.reroutes) chooseRoute(exchange)
    exchange.resumeFilters()
  }

  return (exchange) => {
    // What has no route is not found, whoever asks; as in Envoy, nobody is asked about it.
    if (exchange.route === undefined || exchange.route.extAuthz?.disabled === true) return CONTINUE
    const { enabledBy, body } = plan
    if (enabledBy !== undefined) {
      const noted = exchange.shadowPolicies?.get(enabledBy.key)
      if (noted === undefined || !enabledBy.policy.matches(noted)) return CONTINUE
    }
    if (body === undefined || exchange.request.framing === NO_BODY) {
      void check(exchange, undefined)
      return WAITING
    }
    exchange.waitForBody(body.bytesMax, (bytes, whole) => {
      if (!whole && !body.partial) exchange.answerWith(answers.bodyTooLarge)
      else void check(exchange, bytes.subarray(0, body.bytesMax))
    })
    return exchange.over ? ANSWERED : WAITING
  }
}

function accept(exchange: Exchange, { set, add, remove, answer }: Extract<Verdict, { kind: 'yes' }>): void {
  for (const name of remove) if (name !== 'host' && !name.startsWith(':')) exchange.removeRequestHeader(name)
  for (const [name] of set) exchange.removeRequestHeader(name)
  for (const [name, value] of [...set, ...add]) exchange.addRequestHeader(name, value)
  exchange.responseFields += lines(answer)
}

const lines = (fields: readonly Field[]): string => fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')

/** A field that may be written: a token and a value without line breaks (RFC 9110 §5.1, §5.5). */
const writable = ([name, value]: Field): boolean => isField(name, value) && !OF_THE_HOP.has(name)

/** Request headers that the service is told. */
function toldHeaders(plan: ExtAuthzPlan, exchange: Exchange, otherwise: (name: string) => boolean): Field[] {
  const { fields, overwritten } = exchange.request
  const all: Field[] = []
  for (let at = 0; at < fields.count; at++) {
    const name = fields.name(at).toLowerCase()
    if (!overwritten.has(name)) all.push([name, fields.value(at)])
  }
  for (const [name, value] of overwritten) if (value !== undefined) all.push([name, value])
  return all.filter(([name]) => {
    const allowed = plan.allowedHeaders === undefined ? otherwise(name) : matchesAny(plan.allowedHeaders, name) || ALWAYS.has(name)
    return allowed && !matchesAny(plan.disallowedHeaders, name)
  })
}

/** What Envoy tells an HTTP service whatever the list says, besides method, path, host. */
const ALWAYS: ReadonlySet<string> = new Set(['authorization'])

const matchesAny = (matchers: readonly StringMatchPlan[], name: string): boolean => matchers.some((one) => one.matches(name))

async function askHttp(plan: ExtAuthzPlan, service: Extract<ExtAuthzPlan['service'], { kind: 'http' }>, engine: Engine, exchange: Exchange, body: Buffer | undefined): Promise<Verdict> {
  const { request } = exchange
  const headers: Field[] = toldHeaders(plan, exchange, (name) => ALWAYS.has(name)).filter(([name]) => !OF_THE_HOP.has(name))
  const answer = await engine.callouts.ask(engine.cluster(service.cluster), {
    method: request.method,
    path: service.pathPrefix + request.path,
    authority: request.authority,
    headers: [...headers.filter(([name]) => !service.headersToAdd.some((one) => one.name === name)), ...service.headersToAdd.map(({ name, value }): Field => [name, value])],
    body,
    timeoutMs: plan.timeoutMs,
  })
  // Envoy: an authorizer in trouble has no opinion.
  if (answer.status >= 500) throw new Error(`answered ${answer.status}`)
  const usable = answer.headers.filter(writable)
  if (answer.status === 200) {
    return {
      kind: 'yes',
      set: usable.filter(([name]) => matchesAny(service.upstreamHeaders, name)),
      add: usable.filter(([name]) => matchesAny(service.upstreamHeadersToAppend, name)),
      remove: [],
      answer: usable.filter(([name]) => matchesAny(service.clientHeadersOnSuccess, name)),
    }
  }
  const told = (name: string): boolean => service.clientHeaders.length === 0 || matchesAny(service.clientHeaders, name) || name === 'www-authenticate' || name === 'location'
  return { kind: 'no', status: answer.status, body: answer.body.toString('latin1'), fields: usable.filter(([name]) => told(name)) }
}

async function askGrpc(plan: ExtAuthzPlan, service: Extract<ExtAuthzPlan['service'], { kind: 'grpc' }>, engine: Engine, exchange: Exchange, body: Buffer | undefined): Promise<Verdict> {
  const message = toBinary(CheckRequestSchema, checkRequest(plan, exchange, body, engine.doors.clock.wallMs()))
  const bytes = await engine.callouts.call(engine.cluster(service.cluster), CHECK, message, {
    authority: service.authority,
    metadata: service.metadata.map(({ name, value }) => [name, value] as const),
    timeoutMs: plan.timeoutMs,
  })
  const response = fromBinary(CheckResponseSchema, bytes)
  const code = response.status?.code ?? 0
  const by = response.httpResponse
  if (by.case === 'errorResponse') throw new Error('answered an error')
  if (code !== 0) {
    const denied = by.case === 'deniedResponse' ? by.value : undefined
    return { kind: 'no', status: denied?.status?.code || 403, body: Buffer.from(denied?.body ?? '', 'utf8').toString('latin1'), fields: (denied?.headers ?? []).map(fieldOf).filter(writable) }
  }
  const ok = by.case === 'okResponse' ? by.value : undefined
  const headers = ok?.headers ?? []
  const appended = (option: HeaderValueOption): boolean => option.append === true
  return {
    kind: 'yes',
    // Unlike elsewhere, Envoy replaces here unless `append` says otherwise (OkHttpResponse.headers).
    set: headers.filter((one) => !appended(one)).map(fieldOf).filter(writable),
    add: headers.filter(appended).map(fieldOf).filter(writable),
    remove: (ok?.headersToRemove ?? []).map((name) => name.toLowerCase()),
    answer: (ok?.responseHeadersToAdd ?? []).map(fieldOf).filter(writable),
  }
}

function fieldOf({ header }: HeaderValueOption): Field {
  const value = header === undefined ? '' : header.value !== '' ? wireText(header.value) : Buffer.from(header.rawValue).toString('latin1')
  return [header?.key.toLowerCase() ?? '', value]
}

/** envoy.service.auth.v3.AttributeContext, as Envoy fills it. */
function checkRequest(plan: ExtAuthzPlan, exchange: Exchange, body: Buffer | undefined, wallMs: number): CheckRequest {
  const { request, peer } = exchange
  const headers: Record<string, string> = {}
  for (const [name, value] of toldHeaders(plan, exchange, () => true)) headers[name] = headers[name] === undefined ? value : `${headers[name]},${value}`
  headers[':method'] = request.method
  headers[':path'] = request.path
  headers[':authority'] = request.authority
  headers[':scheme'] = request.scheme
  headers['x-request-id'] ??= exchange.requestId
  const socket = (address: string, portValue: number) => ({ address: { case: 'socketAddress' as const, value: { address, portSpecifier: { case: 'portValue' as const, value: portValue } } } })
  const principal = peer.uriSans[0] ?? peer.dnsSans[0] ?? ''
  return create(CheckRequestSchema, {
    attributes: {
      source: { address: socket(peer.address, peer.port), principal },
      destination: { address: socket(peer.localAddress, peer.localPort) },
      request: {
        time: { seconds: BigInt(Math.floor(wallMs / 1000)), nanos: Math.floor((wallMs % 1000) * 1e6) },
        http: {
          id: exchange.requestId,
          method: request.method,
          headers,
          path: request.path,
          host: request.authority,
          scheme: request.scheme,
          size: BigInt(request.framing === NO_BODY ? 0 : request.bodyLength > 0 ? request.bodyLength : -1),
          protocol: exchange.protocol,
          ...(body === undefined ? {} : plan.body?.packAsBytes === true ? { rawBody: body } : { body: body.toString('utf8') }),
        },
      },
      contextExtensions: { ...exchange.route?.extAuthz?.contextExtensions },
      ...(peer.sni === '' ? {} : { tlsSession: { sni: peer.sni } }),
    },
  })
}
