import { parseFormat } from '#core/telemetry/format.ts'
import type { FormatToken } from '#core/telemetry/format.ts'
import { grpcStatusOf } from '../http/grpc.ts'
import type { Facts } from './facts.ts'

/**
 * Envoy's command operators, compiled once (docs: configuration/observability/access_log/usage#command-operators).
 * An operator that Weft does not know gives `-`, as Envoy does for one without a value.
 */
export type Part = string | ((facts: Facts) => string | undefined)

/** `[%START_TIME%] %REQ(:METHOD)%` → its parts. A malformed format stands for itself: plan readers refuse it before. */
export function compileFormat(format: string, iso: (wallMs: number) => string): readonly Part[] {
  return (parseFormat(format) ?? [{ kind: 'text' as const, text: format }]).map((token) => token.kind === 'text' ? token.text : readOperator(token, iso))
}

/** The value of one operator; undefined where there is none. */
export function readOperator(token: FormatToken & { kind: 'operator' }, iso: (wallMs: number) => string): (facts: Facts) => string | undefined {
  const { lengthMax } = token
  const read = reader(token.name, token.argument, token.alternative, iso)
  return lengthMax === undefined ? read : (facts) => read(facts)?.slice(0, lengthMax)
}

/** Instants as ISO text between two other texts, each made once: requests that start in the same millisecond share it. */
export function cachedIso(before = '', after = ''): (wallMs: number) => string {
  const keys = new Float64Array(32)
  const texts: string[] = Array.from({ length: 32 }, () => '')
  return (wallMs) => {
    const ms = Math.floor(wallMs)
    const slot = ms & 31
    if (keys[slot] !== ms) {
      keys[slot] = ms
      // Joined flat: a text of parts is walked through each time it is written.
      texts[slot] = [before, new Date(ms).toISOString(), after].join('')
    }
    return texts[slot] ?? ''
  }
}

/** One value, with `none` where a part has none. */
export function renderFormat(parts: readonly Part[], facts: Facts, none = '-'): string {
  let text = ''
  for (const part of parts) text += typeof part === 'string' ? part : (part(facts) ?? none)
  return text
}

const orNone = (text: string): string | undefined => (text === '' ? undefined : text)
const whole = (ms: number): string => String(Math.floor(ms))

function reader(name: string, argument: string, alternative: string | undefined, iso: (wallMs: number) => string): (facts: Facts) => string | undefined {
  switch (name) {
    case 'REQ':
      return requestHeader(argument, alternative)
    case 'RESP': {
      if (argument === 'x-envoy-upstream-service-time') return (facts) => (facts.upstreamServiceMs < 0 ? undefined : whole(facts.upstreamServiceMs))
      return (facts) => facts.responseHeader(argument)
    }
    case 'START_TIME':
      return (facts) => iso(facts.startWallMs)
    case 'PROTOCOL':
      return (facts) => orNone(facts.protocol)
    case 'RESPONSE_CODE':
      return (facts) => String(facts.status)
    case 'GRPC_STATUS_NUMBER':
      return grpcStatus
    case 'RESPONSE_FLAGS':
      return (facts) => orNone(facts.flags)
    case 'RESPONSE_CODE_DETAILS':
      return (facts) => orNone(facts.details)
    case 'CONNECTION_TERMINATION_DETAILS':
      return (facts) => facts.terminationDetails
    case 'UPSTREAM_TRANSPORT_FAILURE_REASON':
      return (facts) => orNone(facts.upstreamFailure)
    case 'BYTES_RECEIVED':
      return (facts) => String(facts.requestBytes)
    case 'BYTES_SENT':
      return (facts) => String(facts.responseBytes)
    case 'DURATION':
      return (facts) => whole(facts.durationMs)
    case 'UPSTREAM_HOST':
      return (facts) => orNone(facts.upstreamAddress)
    case 'UPSTREAM_CLUSTER':
    case 'UPSTREAM_CLUSTER_RAW':
      return (facts) => orNone(facts.clusterName)
    case 'UPSTREAM_REQUEST_ATTEMPT_COUNT':
      return (facts) => String(facts.attempts)
    case 'ROUTE_NAME':
      return (facts) => orNone(facts.routeName)
    case 'REQUESTED_SERVER_NAME':
      return (facts) => orNone(facts.peer.sni)
    case 'DOWNSTREAM_REMOTE_ADDRESS':
      return (facts) => `${facts.peer.address}:${facts.peer.port}`
    case 'DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT':
      return (facts) => facts.peer.address
    case 'DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT':
      return (facts) => (facts.peer.direct ?? facts.peer).address
    case 'DOWNSTREAM_DIRECT_REMOTE_ADDRESS':
      return ({ peer: { direct, address, port } }) => `${direct?.address ?? address}:${direct?.port ?? port}`
    case 'DOWNSTREAM_LOCAL_ADDRESS':
      return (facts) => `${facts.peer.localAddress}:${facts.peer.localPort}`
    case 'DOWNSTREAM_LOCAL_PORT':
      return (facts) => String(facts.peer.localPort)
    case 'DOWNSTREAM_PEER_URI_SAN':
      return (facts) => orNone(facts.peer.uriSans.join(','))
    case 'DOWNSTREAM_TLS_VERSION':
      return (facts) => orNone(facts.downstreamTlsVersion)
    case 'HOSTNAME':
      return () => undefined
    case 'METADATA':
      return routeMetadata(argument)
    default:
      return () => undefined
  }
}

/** What a gRPC client was told, or makes of the HTTP status where nothing was said; undefined of other requests. */
function grpcStatus({ grpcStatus: told = -1, status }: Facts): string | undefined {
  return told === -1 ? undefined : String(told < 0 ? grpcStatusOf(status) : told)
}

/** What translation writes into a route's metadata: the object and the field that decided. */
function routeMetadata(argument: string): (facts: Facts) => string | undefined {
  if (argument === 'ROUTE:weft:resource') return (facts) => facts.origin?.resource
  if (argument === 'ROUTE:weft:field') return (facts) => facts.origin?.field
  return () => undefined
}

/** `X?:Y`: X, or Y when there is no X. */
function requestHeader(first: string, second: string | undefined): (facts: Facts) => string | undefined {
  const read = (name: string): ((facts: Facts) => string | undefined) => {
    // The parser of formats takes the colon of `?:PATH` with the question mark.
    if (name === ':method') return (facts) => orNone(facts.request.method)
    if (name === ':path' || name === 'path') return (facts) => orNone(facts.request.path)
    if (name === ':authority' || name === 'host') return (facts) => orNone(facts.request.authority)
    if (name === ':scheme') return (facts) => facts.request.scheme
    if (name === 'x-request-id') return (facts) => orNone(facts.requestId)
    return (facts) => facts.request.header(name)
  }
  const readFirst = read(first)
  if (second === undefined) return readFirst
  const readSecond = read(second)
  return (facts) => readFirst(facts) ?? readSecond(facts)
}
