import { parseFormat } from '#core/telemetry/format.ts'
import type { FormatToken } from '#core/telemetry/format.ts'
import type { Facts } from './facts.ts'
import { cachedIso, readOperator } from './format.ts'

/**
 * A line of a text log, compiled. It is rendered for every request, and most of it is like the lines before: so what hardly changes is joined once and found again by comparing addresses,
 * small numbers are joined with what follows them beforehand, and a piece brings its literal text along.
 */
type Piece = (facts: Facts) => string
type Value = string | number | undefined

/** What one proxy says the same of for request after request. */
const STEADY: Readonly<Record<string, (facts: Facts) => Value>> = {
  PROTOCOL: (facts) => facts.protocol,
  RESPONSE_CODE: (facts) => facts.status,
  RESPONSE_FLAGS: (facts) => facts.flags,
  RESPONSE_CODE_DETAILS: (facts) => facts.details,
  UPSTREAM_HOST: (facts) => facts.upstreamAddress,
  UPSTREAM_CLUSTER: (facts) => facts.clusterName,
  UPSTREAM_CLUSTER_RAW: (facts) => facts.clusterName,
  ROUTE_NAME: (facts) => facts.routeName,
}

/** Numbers that are mostly small; below zero: there is none. */
const NUMBERS: Readonly<Record<string, (facts: Facts) => number>> = {
  BYTES_RECEIVED: (facts) => facts.requestBytes,
  BYTES_SENT: (facts) => facts.responseBytes,
  DURATION: (facts) => Math.floor(facts.durationMs),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: (facts) => facts.attempts,
}
const serviceTime = (facts: Facts): number => Math.floor(facts.upstreamServiceMs)

/** What is said of a connection, and the same for all its requests. */
const OF_PEER: ReadonlySet<string> = new Set(
  ['REMOTE_ADDRESS', 'REMOTE_ADDRESS_WITHOUT_PORT', 'DIRECT_REMOTE_ADDRESS', 'DIRECT_REMOTE_ADDRESS_WITHOUT_PORT', 'LOCAL_ADDRESS', 'LOCAL_PORT', 'PEER_URI_SAN'].map((name) => `DOWNSTREAM_${name}`),
)

/** A text log's format → how its lines are made. A malformed one stands for itself: plan readers refuse it before. */
export function compileLine(format: string): (facts: Facts) => string {
  const tokens = parseFormat(format) ?? [{ kind: 'text', text: format }]
  const pieces: Piece[] = []
  let at = 0
  const literal = (): string => {
    const token = tokens[at]
    if (token?.kind !== 'text') return ''
    at += 1
    return token.text
  }
  while (at < tokens.length) {
    const before = literal()
    const run: { read: (facts: Facts) => Value; after: string }[] = []
    for (let read = steadyOf(tokens[at]); read !== undefined; read = steadyOf(tokens[at])) {
      at += 1
      run.push({ read, after: literal() })
    }
    if (run.length > 0) {
      pieces.push(steady(before, run))
      continue
    }
    const token = tokens[at]
    if (token?.kind !== 'operator') {
      pieces.push(() => before)
      break
    }
    at += 1
    // What follows belongs to this piece; a run of steady ones takes none from here.
    pieces.push(...single(token, before, literal()))
  }
  return (facts) => {
    let text = ''
    for (let nth = 0; nth < pieces.length; nth++) text += pieces[nth]?.(facts)
    return text
  }
}

const steadyOf = (token: FormatToken | undefined): ((facts: Facts) => Value) | undefined => (token?.kind === 'operator' && token.lengthMax === undefined ? STEADY[token.name] : undefined)

function single(token: FormatToken & { kind: 'operator' }, before: string, after: string): Piece[] {
  const whole = token.lengthMax === undefined
  if (whole && token.name === 'START_TIME') {
    const stamp = cachedIso(before, after)
    return [(facts) => stamp(facts.startWallMs)]
  }
  const pieces: Piece[] = before === '' ? [] : [() => before]
  const number = whole ? (token.name === 'RESP' && token.argument === 'x-envoy-upstream-service-time' ? serviceTime : NUMBERS[token.name]) : undefined
  if (number !== undefined) return [...pieces, numbered(number, after)]
  const read = readOperator(token, cachedIso('', ''))
  if (OF_PEER.has(token.name)) return [perPeer(before, read, after)]
  return [...pieces, after === '' ? (facts) => read(facts) ?? '-' : (facts) => (read(facts) ?? '-') + after]
}

/** Joined flat: a text of many parts is walked through each time it is written. */
const flat = (...parts: readonly (string | number)[]): string => parts.join('')

const textOf = (value: Value): string | number => (value === undefined || value === '' ? '-' : value)

const REMEMBERED = 4

/** Values side by side that are the same as for one of the last few requests, mostly. */
function steady(before: string, run: readonly { read: (facts: Facts) => Value; after: string }[]): Piece {
  const reads = run.map(({ read }) => read)
  const width = reads.length
  const known: Value[] = []
  const texts: string[] = []
  let next = 0
  return (facts) => {
    search: for (let nth = 0; nth < texts.length; nth++) {
      for (let i = 0; i < width; i++) if (known[nth * width + i] !== reads[i]?.(facts)) continue search
      return texts[nth] ?? ''
    }
    const text = flat(before, ...run.flatMap(({ read, after }) => [textOf(read(facts)), after]))
    for (let i = 0; i < width; i++) known[next * width + i] = reads[i]?.(facts)
    texts[next] = text
    next = (next + 1) % REMEMBERED
    return text
  }
}

const SMALL = 2048

function numbered(read: (facts: Facts) => number, after: string): Piece {
  const texts: string[] = []
  const none = `-${after}`
  return (facts) => {
    const value = read(facts)
    if (value < 0) return none
    if (value >= SMALL) return value + after
    // Filled in order, so that the table has no holes.
    while (texts.length <= value) texts.push(flat(texts.length, after))
    return texts[value] ?? ''
  }
}

const PEERS = 256

function perPeer(before: string, read: (facts: Facts) => string | undefined, after: string): Piece {
  const peers: (Facts['peer'] | undefined)[] = []
  const texts: string[] = []
  return (facts) => {
    const { peer } = facts
    const slot = peer.port & (PEERS - 1)
    while (peers.length <= slot) {
      peers.push(undefined)
      texts.push('')
    }
    if (peers[slot] !== peer) {
      peers[slot] = peer
      texts[slot] = flat(before, read(facts) ?? '-', after)
    }
    return texts[slot] ?? ''
  }
}
