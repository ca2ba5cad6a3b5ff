/** What the first bytes of a connection say about it. */
export interface Sniffed {
  readonly transportProtocol: 'tls' | 'raw_buffer'
  readonly serverName: string
  /** ALPN of a ClientHello; for plaintext that looks like HTTP, what Envoy's HTTP inspector says. */
  readonly applicationProtocols: readonly string[]
}

/** A ClientHello larger than this is no longer waited for (Envoy's tls_inspector bound). */
export const CLIENT_HELLO_BYTES_MAX = 16 * 1024

const RAW: Sniffed = { transportProtocol: 'raw_buffer', serverName: '', applicationProtocols: [] }
const HTTP1: Sniffed = { transportProtocol: 'raw_buffer', serverName: '', applicationProtocols: ['http/1.1'] }
const HTTP1_0: Sniffed = { transportProtocol: 'raw_buffer', serverName: '', applicationProtocols: ['http/1.0'] }
const HTTP2: Sniffed = { transportProtocol: 'raw_buffer', serverName: '', applicationProtocols: ['h2c'] }
const PREFACE = 'PRI * HTTP/2.0'
/** A line that began so and is longer is HTTP without its end. */
const REQUEST_LINE_AWAITED_MAX = 8 * 1024
/** As much of a request line as there may be (RFC 9112 §3), and a whole one: what ends otherwise is no HTTP, whatever word it begins with. */
const REQUEST_LINE_BEGUN = /^[A-Z][A-Z-]{0,31}(?: (?:[^\s]+(?: (?:H(?:T(?:T(?:P(?:\/(?:1(?:\.(?:[01]\r?)?)?)?)?)?)?)?)?)?)?)?$/
const REQUEST_LINE = /^[A-Z][A-Z-]{0,31} [^\s]+ HTTP\/1\.([01])\r?\n/

/** Undefined: more bytes are needed to tell. */
export function sniff(bytes: Buffer): Sniffed | undefined {
  if (bytes.length === 0) return undefined
  // RFC 8446 §5.1: a handshake record.
  if (bytes[0] === 0x16) return sniffTls(bytes)
  return sniffPlain(bytes)
}

function sniffPlain(bytes: Buffer): Sniffed | undefined {
  const text = bytes.toString('latin1', 0, Math.min(bytes.length, 16))
  if (PREFACE.startsWith(text.slice(0, PREFACE.length))) return text.length >= PREFACE.length ? HTTP2 : undefined
  if (!/^[A-Z][A-Z-]*(?: |$)/.test(text)) return RAW
  const line = bytes.toString('latin1', 0, REQUEST_LINE_AWAITED_MAX + 1)
  const found = REQUEST_LINE.exec(line)
  if (found !== null) return found[1] === '0' ? HTTP1_0 : HTTP1
  if (!REQUEST_LINE_BEGUN.test(line)) return RAW
  return line.length > REQUEST_LINE_AWAITED_MAX ? HTTP1 : undefined
}

/** TLS bytes that are no ClientHello: the chain for TLS is chosen, and the handshake then fails by itself. */
const OPAQUE_TLS: Sniffed = { transportProtocol: 'tls', serverName: '', applicationProtocols: [] }

function sniffTls(bytes: Buffer): Sniffed | undefined {
  const hello = handshakeBytes(bytes)
  if (hello === undefined) return bytes.length > CLIENT_HELLO_BYTES_MAX ? OPAQUE_TLS : undefined
  return readClientHello(hello) ?? OPAQUE_TLS
}

/** The first handshake message, put together from its records; undefined while it is incomplete. */
function handshakeBytes(bytes: Buffer): Buffer | undefined {
  const parts: Buffer[] = []
  let have = 0
  let at = 0
  while (at + 5 <= bytes.length && bytes[at] === 0x16) {
    const length = bytes.readUInt16BE(at + 3)
    if (at + 5 + length > bytes.length) break
    parts.push(bytes.subarray(at + 5, at + 5 + length))
    have += length
    at += 5 + length
    if (have >= 4) {
      const joined = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
      const wanted = 4 + joined.readUIntBE(1, 3)
      if (have >= wanted) return joined.subarray(0, wanted)
    }
  }
  return undefined
}

/** RFC 8446 §4.1.2; undefined when it is not one. */
function readClientHello(hello: Buffer): Sniffed | undefined {
  if (hello[0] !== 1) return undefined
  let at = 4 + 2 + 32
  const skip = (sizeBytes: number): boolean => {
    if (at + sizeBytes > hello.length) return false
    at += sizeBytes + hello.readUIntBE(at, sizeBytes)
    return at <= hello.length
  }
  if (!skip(1) || !skip(2) || !skip(1)) return undefined
  if (at + 2 > hello.length) return OPAQUE_TLS
  const end = Math.min(hello.length, at + 2 + hello.readUInt16BE(at))
  at += 2
  let serverName = ''
  let applicationProtocols: string[] = []
  while (at + 4 <= end) {
    const type = hello.readUInt16BE(at)
    const length = hello.readUInt16BE(at + 2)
    const from = at + 4
    at = from + length
    if (at > end) return undefined
    if (type === 0) serverName = readServerName(hello.subarray(from, at))
    else if (type === 16) applicationProtocols = readProtocols(hello.subarray(from, at))
  }
  return { transportProtocol: 'tls', serverName, applicationProtocols }
}

/** RFC 6066 §3: the first host_name. */
function readServerName(extension: Buffer): string {
  if (extension.length < 5 || extension[2] !== 0) return ''
  const length = extension.readUInt16BE(3)
  return extension.toString('latin1', 5, Math.min(extension.length, 5 + length)).toLowerCase()
}

/** RFC 7301 §3.1. */
function readProtocols(extension: Buffer): string[] {
  const protocols: string[] = []
  let at = 2
  while (at < extension.length) {
    const length = extension[at] ?? 0
    protocols.push(extension.toString('latin1', at + 1, Math.min(extension.length, at + 1 + length)))
    at += 1 + length
  }
  return protocols
}
