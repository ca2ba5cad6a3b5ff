import packet from 'dns-packet'
import type { Found } from './name-book.ts'

/** The longest message over UDP that is taken (RFC 6891 §6.2.5 has 4096 as what is sensible), and over TCP (RFC 1035 §4.2.2). */
const UDP_BYTES_MAX = 4096
export const TCP_BYTES_MAX = 65_535
const HEADER_BYTES = 12
/** What a client takes over UDP that says nothing else (RFC 1035 §2.3.4). */
const PLAIN_UDP_BYTES = 512
/** Answers are looked up again after so many seconds, as Istio's. */
const TTL_SECONDS = 30

/** A question that could be read. */
export interface Query {
  readonly id: number
  /** In lower case, without the last dot. */
  readonly name: string
  /** `A`, `AAAA`, `SRV`, … */
  readonly type: string
  /** The Internet's, of all classes. */
  readonly isInternet: boolean
  /** Of what the answer over UDP may be made, in bytes. */
  readonly udpBytes: number
  readonly decoded: packet.Packet
}

/**
 * Reads what a client sent. Counts are looked at before anything is decoded, so that no message asks for more work than its own length.
 * Undefined: no query with one question, and so nobody's business; a client that sends such gets FORMERR where it has an id (see `refusal`).
 */
export function readQuery(bytes: Buffer): Query | undefined {
  if (bytes.length < HEADER_BYTES || bytes.length > TCP_BYTES_MAX) return undefined
  const isQuery = ((bytes[2] ?? 0) & 0xf8) === 0
  // One question; no answers, no authorities; EDNS and a signature at most beside it.
  if (!isQuery || bytes.readUInt16BE(4) !== 1 || bytes.readUInt32BE(6) !== 0 || bytes.readUInt16BE(10) > 2) return undefined
  let decoded: packet.DecodedPacket
  try {
    decoded = packet.decode(bytes)
  } catch {
    return undefined
  }
  const [question] = decoded.questions ?? []
  if (question === undefined) return undefined
  const edns = decoded.additionals?.find((one) => one.type === 'OPT')
  const udpBytes = Math.min(UDP_BYTES_MAX, Math.max(PLAIN_UDP_BYTES, edns?.type === 'OPT' ? edns.udpPayloadSize : 0))
  return { id: decoded.id ?? 0, name: question.name.toLowerCase().replace(/\.$/, ''), type: question.type, isInternet: (question.class ?? 'IN') === 'IN', udpBytes, decoded }
}

/** The answer to a question for addresses: none of the family that was asked for is an answer too (NODATA, RFC 2308 §2.2). */
export function answer(query: Query, { host, addresses }: Found, bytesMax: number): Buffer {
  const [question] = query.decoded.questions ?? []
  const asked = question?.name ?? query.name
  const name = host === query.name ? asked : host
  const records: packet.Answer[] = host === query.name ? [] : [{ type: 'CNAME', name: asked, ttl: TTL_SECONDS, class: 'IN', data: host }]
  for (const address of addresses) {
    if (address.includes(':') === (query.type === 'AAAA')) records.push({ type: query.type === 'AAAA' ? 'AAAA' : 'A', name, ttl: TTL_SECONDS, class: 'IN', data: address })
  }
  const whole = reply(query, packet.AUTHORITATIVE_ANSWER, records)
  // What does not fit is asked for again over TCP.
  return whole.length <= bytesMax ? whole : reply(query, packet.AUTHORITATIVE_ANSWER | packet.TRUNCATED_RESPONSE, [])
}

/** SERVFAIL: who should have known could not be asked. */
export const serverFailure = (query: Query): Buffer => reply(query, 2, [])

/** FORMERR for what is no query of ours but has an id; undefined: it has none, or is itself a response. */
export function refusal(bytes: Buffer): Buffer | undefined {
  if (bytes.length < HEADER_BYTES || ((bytes[2] ?? 0) & 0x80) !== 0) return undefined
  const header = Buffer.alloc(HEADER_BYTES)
  bytes.copy(header, 0, 0, 2)
  header[2] = 0x80
  header[3] = 1
  return header
}

const reply = ({ id, decoded }: Query, flags: number, answers: packet.Answer[]): Buffer =>
  packet.encode({ type: 'response', id, flags: flags | packet.RECURSION_AVAILABLE | ((decoded.flags ?? 0) & packet.RECURSION_DESIRED), questions: decoded.questions ?? [], answers })
