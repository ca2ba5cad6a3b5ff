import { type Ask, type Asks, nothingAsked } from './asks.ts'
import { type Field, runOf, scanFields, textOf } from './protobuf.ts'

export type Protocol = 'delta' | 'sotw'

/**
 * A DiscoveryRequest or DeltaDiscoveryRequest (envoy.service.discovery.v3), read by hand: an ACK is a handful of bytes behind a node of up to 48 KB,
 * and only the first request's node is ever decoded (xds-rules 1).
 */
export interface DiscoveryRequest extends Ask {
  readonly type: string
  readonly nonce: string
  /** error_detail.message. Its presence is the only sign of a NACK (xds-rules 7). */
  readonly refusal: string | undefined
  /** The node's bytes, still encoded. */
  readonly node: Uint8Array | undefined
  /** What it asks for, where other streams that ask for the same have the same object. */
  readonly ask?: Ask
}

interface Layout {
  readonly node: number
  readonly type: number
  readonly names: number
  readonly dropped: number
  readonly held: number
  readonly nonce: number
  readonly refusal: number
}

const layouts: Readonly<Record<Protocol, Layout>> = {
  sotw: { node: 2, type: 4, names: 3, dropped: -1, held: -1, nonce: 5, refusal: 6 },
  delta: { node: 1, type: 2, names: 3, dropped: 4, held: 5, nonce: 6, refusal: 7 },
}

/** Longest part of a NACK's words that is kept. */
const refusalCharactersMax = 4096

/** Stands for a request whose names another stream has brought, or which has none. */
interface Rest {
  type: string
  nonce: string
  refusal: string | undefined
  node: Uint8Array | undefined
}

/**
 * @param asks where lists of names are shared among streams
 * @throws MalformedMessage
 */
export function readRequest(protocol: Protocol, bytes: Uint8Array, asks?: Asks): DiscoveryRequest {
  const layout = layouts[protocol]
  const rest: Rest = { type: '', nonce: '', refusal: undefined, node: undefined }
  const run = asks && runOf(bytes, layout.names, protocol === 'delta' ? layout.held : layout.names)
  if (asks === undefined || run === undefined) {
    const ask = readAsk(layout, bytes, rest)
    const isEmpty = ask.names.length + ask.dropped.length + ask.held.size === 0
    return asks && isEmpty ? { ...rest, ...nothingAsked, ask: nothingAsked } : { ...rest, ...ask }
  }
  readRest(layout, bytes.subarray(0, run.start), rest)
  readRest(layout, bytes.subarray(run.end), rest)
  const { ask, isShared } = asks.read(bytes.subarray(run.start, run.end), (part) => readAsk(layout, part, rest))
  return isShared ? { ...rest, ...ask, ask } : { ...rest, ...ask }
}

function readAsk(layout: Layout, bytes: Uint8Array, rest: Rest): Ask {
  const names: string[] = []
  const dropped: string[] = []
  const held = new Map<string, string>()
  scanFields(bytes, (field) => {
    // Names and versions first: a reconnect brings many thousand of them.
    if (field.field === layout.held) readPair(bytes.subarray(field.start, field.end), held)
    else if (field.field === layout.names) names.push(textOf(bytes, field))
    else if (field.field === layout.dropped) dropped.push(textOf(bytes, field))
    else readRestField(layout, bytes, field, rest)
    return true
  })
  return { names, dropped, held }
}

function readRest(layout: Layout, bytes: Uint8Array, rest: Rest): void {
  scanFields(bytes, (field) => {
    readRestField(layout, bytes, field, rest)
    return true
  })
}

function readRestField(layout: Layout, bytes: Uint8Array, field: Field, rest: Rest): void {
  if (field.field === layout.type) rest.type = textOf(bytes, field)
  else if (field.field === layout.nonce) rest.nonce = textOf(bytes, field)
  else if (field.field === layout.node) rest.node = bytes.subarray(field.start, field.end)
  else if (field.field === layout.refusal) rest.refusal = readRefusal(bytes.subarray(field.start, field.end))
}

/** The id of an encoded Node (its first field), without reading on. */
export function nodeIdOf(node: Uint8Array): string {
  let id = ''
  scanFields(node, (field) => {
    if (field.field !== 1) return true
    id = textOf(node, field)
    return false
  })
  return id
}

/** google.rpc.Status: the message is field 2. */
function readRefusal(status: Uint8Array): string {
  let message = ''
  scanFields(status, (field) => {
    if (field.field === 2) message = textOf(status, field)
    return true
  })
  return message.slice(0, refusalCharactersMax)
}

/** One entry of a map<string, string>: key 1, value 2. */
function readPair(entry: Uint8Array, into: Map<string, string>): void {
  let key = ''
  let value = ''
  scanFields(entry, (field) => {
    if (field.field === 1) key = textOf(entry, field)
    else if (field.field === 2) value = textOf(entry, field)
    return true
  })
  into.set(key, value)
}

