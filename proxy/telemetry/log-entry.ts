import type { LogServicePlan } from '#core/plan/http.ts'
import type { PeerInfo } from '#core/route/request.ts'
import type { Facts } from './facts.ts'

/** What a log service is told of one request or connection, as it was when that ended. */
export interface LogEntry {
  readonly startWallMs: number
  /** Of OTLP: the body, and attributes by name. */
  readonly body: string
  readonly attributes: readonly (readonly [name: string, value: string])[]
  /** Of ALS; absent for OTLP. */
  readonly call?: CallEntry
}

export interface CallEntry {
  readonly peer: PeerInfo
  readonly tlsVersion: string
  readonly durationMs: number
  readonly status: number
  readonly flags: string
  readonly details: string
  readonly terminationDetails: string
  readonly requestBytes: number
  readonly responseBytes: number
  readonly routeName: string
  readonly clusterName: string
  readonly upstreamAddress: string
  readonly upstreamFailure: string
  readonly attempts: number
  readonly protocol: string
  readonly requestId: string
  readonly method: string
  readonly scheme: string
  readonly authority: string
  readonly path: string
  readonly originalPath: string
  readonly userAgent: string
  readonly referer: string
  readonly forwardedFor: string
  readonly requestHeaders: Readonly<Record<string, string>>
  readonly responseHeaders: Readonly<Record<string, string>>
}

/** Only headers that are there. */
function headersOf(names: readonly string[], read: (name: string) => string | undefined): Readonly<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const name of names) {
    const value = read(name)
    if (value !== undefined) found[name] = value
  }
  return found
}

/** What stays of a request when it is over. */
export function callEntry(facts: Facts, { requestHeaders, responseHeaders }: Pick<LogServicePlan, 'requestHeaders' | 'responseHeaders'>): CallEntry {
  const { request } = facts
  return {
    peer: facts.peer,
    tlsVersion: facts.downstreamTlsVersion,
    durationMs: facts.durationMs,
    status: facts.status,
    flags: facts.flags,
    details: facts.details,
    terminationDetails: facts.terminationDetails ?? '',
    requestBytes: facts.requestBytes,
    responseBytes: facts.responseBytes,
    routeName: facts.routeName,
    clusterName: facts.clusterName,
    upstreamAddress: facts.upstreamAddress,
    upstreamFailure: facts.upstreamFailure,
    attempts: facts.attempts,
    protocol: facts.protocol,
    requestId: facts.requestId,
    method: request.method,
    scheme: request.scheme,
    authority: request.authority,
    path: request.path,
    originalPath: request.header('x-envoy-original-path') ?? '',
    userAgent: request.header('user-agent') ?? '',
    referer: request.header('referer') ?? '',
    forwardedFor: request.header('x-forwarded-for') ?? '',
    requestHeaders: headersOf(requestHeaders, (name) => request.header(name)),
    responseHeaders: headersOf(responseHeaders, (name) => facts.responseHeader(name)),
  }
}
