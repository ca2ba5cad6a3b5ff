import { type Attribute, compileExpression, Duration, type Evaluated, Instant, Names } from '#core/match/expression.ts'
import { parseExpression } from '#core/match/expression-syntax.ts'
import { pathOnly } from '#core/route/request.ts'
import { type AttributeName, isAttribute } from '#core/telemetry/attributes.ts'
import type { Facts } from './facts.ts'

/** An expression over what is known of a request; undefined where it is none that can be worked out here, which plan readers refuse. */
export function compileOverFacts(text: string): Attribute<Facts> | undefined {
  const read = parseExpression(text)
  return typeof read === 'string' ? undefined : compileExpression(read, (path) => (isAttribute(path) ? ATTRIBUTES[path] : undefined))
}

const some = (text: string | undefined): Evaluated => (text === '' ? undefined : text)
/** Of a connection without HTTP there is no request. */
const ofRequest =
  (read: (facts: Facts) => Evaluated): Attribute<Facts> =>
  (facts) =>
    facts.request.method === '' ? undefined : read(facts)

function requestHeader(facts: Facts, name: string): string | undefined {
  const lower = name.toLowerCase()
  if (lower === ':path') return facts.request.path
  if (lower === ':method') return facts.request.method
  if (lower === ':authority') return facts.request.authority
  if (lower === ':scheme') return facts.request.scheme
  return lower === 'x-request-id' ? facts.requestId : facts.request.header(lower)
}

const portOf = (address: string): Evaluated => {
  const port = /:(\d+)$/.exec(address)?.[1]
  return port === undefined ? undefined : BigInt(port)
}

/** Envoy's response flags by their bits (source/common/stream_info: the order of its flags is its interface here). */
const FLAGS = 'LH UH UT LR UR UF UC UO NR DI FI RL UAEX RLSE DC URX SI IH DPE UMSDR RFCF NFCF DT UPE NC OM DF DO DR'.split(' ')

const ATTRIBUTES: Readonly<Record<AttributeName, Attribute<Facts>>> = {
  'request.path': ofRequest((facts) => facts.request.path),
  'request.url_path': ofRequest((facts) => pathOnly(facts.request.path)),
  'request.host': ofRequest((facts) => facts.request.authority),
  'request.scheme': ofRequest((facts) => facts.request.scheme),
  'request.method': ofRequest((facts) => facts.request.method),
  'request.headers': ofRequest((facts) => new Names((name) => requestHeader(facts, name))),
  'request.referer': ofRequest((facts) => facts.request.header('referer')),
  'request.useragent': ofRequest((facts) => facts.request.header('user-agent')),
  'request.time': (facts) => new Instant(facts.startWallMs),
  'request.id': ofRequest((facts) => some(facts.requestId)),
  'request.protocol': (facts) => some(facts.protocol),
  'request.query': ofRequest((facts) => queryOf(facts.request.path)),
  'request.duration': (facts) => new Duration(facts.durationMs),
  'request.size': (facts) => BigInt(facts.requestBytes),
  'response.code': (facts) => (facts.status === 0 ? undefined : BigInt(facts.status)),
  'response.code_details': (facts) => some(facts.details),
  'response.flags': (facts) => BigInt(facts.flags === '' ? 0 : facts.flags.split(',').reduce((bits, flag) => bits | (FLAGS.includes(flag) ? 1 << FLAGS.indexOf(flag) : 0), 0)),
  'response.grpc_status': (facts) => (facts.grpcStatus === undefined || facts.grpcStatus < 0 ? undefined : BigInt(facts.grpcStatus)),
  'response.headers': ofRequest((facts) => new Names((name) => facts.responseHeader(name.toLowerCase()))),
  'response.size': (facts) => BigInt(facts.responseBytes),
  'source.address': ({ peer }) => `${peer.address}:${peer.port}`,
  'source.port': ({ peer }) => BigInt(peer.port),
  'destination.address': ({ peer }) => `${peer.localAddress}:${peer.localPort}`,
  'destination.port': ({ peer }) => BigInt(peer.localPort),
  'connection.mtls': ({ peer }) => peer.uriSans.length > 0 || peer.dnsSans.length > 0,
  'connection.requested_server_name': ({ peer }) => peer.sni,
  'connection.tls_version': (facts) => some(facts.downstreamTlsVersion),
  'connection.uri_san_peer_certificate': ({ peer }) => peer.uriSans[0],
  'connection.dns_san_peer_certificate': ({ peer }) => peer.dnsSans[0],
  'upstream.address': (facts) => some(facts.upstreamAddress),
  'upstream.port': (facts) => portOf(facts.upstreamAddress),
  'upstream.transport_failure_reason': (facts) => some(facts.upstreamFailure),
  'upstream.request_attempt_count': (facts) => BigInt(facts.attempts),
  'xds.cluster_name': (facts) => some(facts.clusterName),
  'xds.route_name': (facts) => some(facts.routeName),
}

function queryOf(path: string): string {
  const at = path.indexOf('?')
  return at < 0 ? '' : path.slice(at + 1)
}
