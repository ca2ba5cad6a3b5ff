import net from 'node:net'

/** The header of the PROXY protocol at the start of a connection. */
export interface ProxyHeader {
  readonly version: 'V1' | 'V2'
  /** `ADDRESS:PORT` of the client; empty where the header names none. */
  readonly source: string
}

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const V2_HEAD = 16
/** Some port that a caller may have. */
const SOURCE_PORT = 40_000

/** Reads a PROXY header off the start of what came; undefined where there is none, `more` where it is not whole yet. */
function takeProxyHeader(bytes: Buffer): { readonly header: ProxyHeader; readonly rest: Buffer } | 'more' | undefined {
  if (bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE)) {
    if (bytes.length < V2_HEAD) return 'more'
    const end = V2_HEAD + bytes.readUInt16BE(14)
    if (bytes.length < end) return 'more'
    const inet = bytes[13] === 0x11 && end >= V2_HEAD + 12
    return { header: { version: 'V2', source: inet ? `${[...bytes.subarray(V2_HEAD, V2_HEAD + 4)].join('.')}:${bytes.readUInt16BE(V2_HEAD + 8)}` : '' }, rest: bytes.subarray(end) }
  }
  if (bytes.toString('latin1', 0, 6) !== 'PROXY ') return undefined
  const end = bytes.indexOf('\r\n')
  if (end < 0) return 'more'
  const [, , source = '', , port = ''] = bytes.toString('latin1', 0, end).split(' ')
  return { header: { version: 'V1', source: source === '' ? '' : `${source}:${port}` }, rest: bytes.subarray(end + 2) }
}

/** A PROXY header that names an IPv4 address as the caller's, and a port of its own as the one that it calls. */
export function proxyHeaderOf(version: ProxyHeader['version'], source: string, destination: string, port: number): Buffer {
  const from = net.isIPv4(destination) ? destination : '127.0.0.1'
  if (version === 'V1') return Buffer.from(`PROXY TCP4 ${source} ${from} ${SOURCE_PORT} ${port}\r\n`)
  const rest = Buffer.alloc(V2_HEAD - SIGNATURE.length + 12)
  rest[0] = 0x21
  rest[1] = 0x11
  rest.writeUInt16BE(12, 2)
  for (const [index, part] of [...source.split('.'), ...from.split('.')].entries()) rest[4 + index] = Number(part)
  rest.writeUInt16BE(SOURCE_PORT, 12)
  rest.writeUInt16BE(port, 14)
  return Buffer.concat([SIGNATURE, rest])
}

/** Calls back with the first bytes of a connection, which are put back where it reads on; with the PROXY header before them, where one is expected. */
export function onFirstBytes(socket: net.Socket, expectsProxyHeader: boolean, begin: (first: Buffer, header: ProxyHeader | undefined) => void): void {
  let seen = Buffer.alloc(0)
  let header: ProxyHeader | undefined
  const onData = (bytes: Buffer): void => {
    seen = Buffer.concat([seen, bytes])
    if (expectsProxyHeader && header === undefined) {
      const taken = takeProxyHeader(seen)
      if (taken === 'more') return
      if (taken === undefined) {
        socket.destroy()
        return
      }
      header = taken.header
      seen = Buffer.from(taken.rest)
    }
    if (seen.length === 0) return
    socket.off('data', onData)
    socket.pause()
    socket.unshift(seen)
    begin(seen, header)
    socket.resume()
  }
  socket.on('data', onData)
}
