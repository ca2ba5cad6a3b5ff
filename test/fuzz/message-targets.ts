import type { DescMessage, JsonValue } from '@bufbuild/protobuf'
import { toBinary } from '@bufbuild/protobuf'
import packet from 'dns-packet'
import { MalformedMessage } from '#api/serve/protobuf.ts'
import { readRequest } from '#api/serve/request.ts'
import { parseToken } from '#core/authz/token.ts'
import { parseSpiffeId } from '#core/identity/spiffe.ts'
import { readCluster } from '#core/plan/read-cluster.ts'
import { readEndpoints } from '#core/plan/read-endpoints.ts'
import { readListener } from '#core/plan/read-listener.ts'
import { readRoute } from '#core/plan/read-route.ts'
import { readSecret } from '#core/plan/read-secret.ts'
import type { Read } from '#core/plan/read.ts'
import { SecretSchema } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import { DeltaDiscoveryRequestSchema, DiscoveryRequestSchema } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { messageFromJson } from '#core/wire/registry.ts'
import { messagesIn } from '#proxy/dns/frames.ts'
import { answer, readQuery, refusal } from '#proxy/dns/message.ts'
import { cluster, endpoints, listener, routes } from '../peers/hand-made.ts'
import type { Target } from './targets.ts'

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
const bytesOf = (schema: DescMessage, json: JsonValue): string => latin1(toBinary(schema, messageFromJson(schema, json)))

/** How many, where it matters: one more of ten is nothing new. */
const few = (count: number): string => (count < 3 ? String(count) : 'many')

const asked = (type: packet.RecordType, name: string): string => latin1(packet.encode({ type: 'query', id: 7, flags: packet.RECURSION_DESIRED, questions: [{ type, name }], additionals: [{ type: 'OPT', name: '.', udpPayloadSize: 1232, flags: 0, options: [], flag_do: false, extendedRcode: 0, ednsVersion: 0 }] }))

/** What is asked for over UDP, and over TCP behind its length. */
export const lookUps: Target = {
  seeds: [asked('A', 'cart.prod.svc.cluster.local'), asked('AAAA', 'db.example.com'), asked('SRV', '_x._tcp.cart'), `\0\x1d${latin1(packet.encode({ type: 'query', id: 1, questions: [{ type: 'A', name: 'a.example' }] }))}`],
  read(pieces) {
    const events: string[] = []
    const bytes = Buffer.concat(pieces)
    const query = readQuery(bytes)
    if (query === undefined) events.push(`no query, ${refusal(bytes) === undefined ? 'and no answer' : 'FORMERR'}`)
    else {
      const many = Array.from({ length: 60 }, (_, at) => `10.0.0.${at}`)
      const reply = answer(query, { host: query.name, addresses: [...many, '2001:db8::1'] }, query.udpBytes)
      if (reply.length > query.udpBytes && reply.length > bytes.length + 12) throw new Error(`${reply.length} bytes answer ${bytes.length}, of which ${query.udpBytes} are taken`)
      events.push(`query ${query.type} ${query.isInternet} ${query.udpBytes > 512}`)
    }
    let messages = 0
    const take = messagesIn(() => (messages += 1))
    for (const piece of pieces) take(piece)
    return [...events, `${few(messages)} messages`]
  },
}

const ofToken = (header: string, payload: string): string => `${Buffer.from(header).toString('base64url')}.${Buffer.from(payload).toString('base64url')}.c2ln`

/** Tokens, and names of workloads. */
export const tokens: Target = {
  seeds: [ofToken('{"alg":"RS256","kid":"k"}', '{"iss":"a","exp":1,"aud":["b"]}'), ofToken('[]', '{}'), 'a.b', 'spiffe://cluster.local/ns/prod/sa/cart', ofToken('{"alg":"none"}', '{"__proto__":{"iss":"a"}}')],
  read(pieces) {
    const text = Buffer.concat(pieces).toString('latin1')
    const token = parseToken(text, (part) => Buffer.from(part, 'base64url').toString())
    const id = parseSpiffeId(text)
    if (Object.hasOwn(Object.prototype, 'iss')) throw new Error('a claim is everybody’s')
    return [typeof token === 'string' ? token : `token ${token.algorithm.length > 0} ${token.keyId.length > 0} ${Object.keys(token.claims).length}`, id === undefined ? '' : 'an id']
  },
}

const readers: readonly ((bytes: Uint8Array, version: string) => Read<unknown>)[] = [readCluster, readListener, readRoute, readEndpoints, readSecret]

/** Resources as they come over xDS, the kind in front: bad ones are refused with every fault, and never thrown at. */
export const resources: Target = {
  seeds: [
    `\0${latin1(cluster('a').bytes)}`, `\x01${latin1(listener('l', 'r').bytes)}`, `\x02${latin1(routes('r', { a: 1, b: 2 }).bytes)}`, `\x03${latin1(endpoints('a', '10.0.0.1:80', '10.0.0.2:80').bytes)}`,
    `\x04${bytesOf(SecretSchema, { name: 's', tls_certificate: { certificate_chain: { inline_string: 'x' }, private_key: { inline_string: 'y' } } })}`,
  ],
  read(pieces) {
    const bytes = Buffer.concat(pieces)
    const read = readers[(bytes[0] ?? 0) % readers.length]
    if (read === undefined) return []
    const result = read(bytes.subarray(1), '1')
    return result.ok ? [`plan ${bytes[0] ?? 0}`] : result.faults.map((fault) => `${fault.path.replaceAll(/\d+/g, '')} ${fault.rule}`.slice(0, 80))
  },
}

/** What strangers ask a control plane for: read by hand, without the wire's schema. */
export const discovery: Target = {
  seeds: [
    `s${bytesOf(DiscoveryRequestSchema, { version_info: '1', node: { id: 'n', metadata: { a: 1 } }, resource_names: ['a', 'b'], type_url: 't', response_nonce: '3', error_detail: { code: 3, message: 'no' } })}`,
    `d${bytesOf(DeltaDiscoveryRequestSchema, { node: { id: 'n' }, type_url: 't', resource_names_subscribe: ['a'], resource_names_unsubscribe: ['b'], initial_resource_versions: { a: '1' }, response_nonce: '2' })}`,
  ],
  read(pieces) {
    const bytes = Buffer.concat(pieces)
    try {
      const request = readRequest(bytes[0] === 0x64 ? 'delta' : 'sotw', bytes.subarray(1))
      return [`${few(request.names.length)} ${few(request.dropped.length)} ${few(request.held.size)} ${request.refusal === undefined} ${request.node === undefined}`]
    } catch (error) {
      if (error instanceof MalformedMessage) return ['malformed']
      throw error
    }
  },
}
