import net from 'node:net'

/** What came back for one request that was sent as bytes. */
export interface RawAnswer {
  readonly status: number
  /** Lower-case names; several lines of one name are joined with `, `. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** The server closed the connection behind the answer. */
  readonly closed: boolean
}

/**
 * Sends bytes on a connection of their own and reads one final answer, interim ones left out. An answer that never comes, or is broken off, has status 0.
 * `method` tells whether the answer may have a body.
 */
export function sendRaw(port: number, bytes: string, method: string, timeoutMs = 60_000): Promise<RawAnswer> {
  return new Promise((resolve) => {
    let received = ''
    let settled = false
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'))
    const settle = (ended: boolean): void => {
      if (settled) return
      const answer = readAnswer(received, method, ended)
      if (answer === undefined && !ended) return
      settled = true
      clearTimeout(timer)
      socket.destroy()
      resolve(answer ?? { status: 0, headers: {}, body: '', closed: true })
    }
    const timer = setTimeout(() => settle(true), timeoutMs)
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
      settle(false)
    })
    socket.on('end', () => settle(true))
    socket.on('close', () => settle(true))
    socket.on('error', () => settle(true))
  })
}

function readAnswer(text: string, method: string, ended: boolean): RawAnswer | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [first = '', ...lines] = text.slice(0, end).split('\r\n')
  const status = Number(first.split(' ')[1])
  const rest = text.slice(end + 4)
  if (status >= 100 && status < 200 && status !== 101) return readAnswer(rest, method, ended)
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`
  }
  const closed = headers['connection']?.toLowerCase() === 'close'
  if (method === 'HEAD' || status === 204 || status === 304 || status === 101) return { status, headers, body: '', closed }
  if (headers['transfer-encoding']?.toLowerCase() === 'chunked') {
    const body = readChunks(rest)
    return body === undefined ? undefined : { status, headers, body, closed }
  }
  const length = headers['content-length']
  if (length === undefined) return ended ? { status, headers, body: rest, closed: true } : undefined
  return rest.length >= Number(length) ? { status, headers, body: rest.slice(0, Number(length)), closed } : undefined
}

function readChunks(text: string): string | undefined {
  let body = ''
  let at = 0
  for (;;) {
    const line = text.indexOf('\r\n', at)
    if (line < 0) return undefined
    const size = Number.parseInt(text.slice(at, line), 16)
    if (Number.isNaN(size)) return undefined
    if (size === 0) return text.indexOf('\r\n\r\n', line - 0) >= 0 || text.endsWith('\r\n\r\n') ? body : undefined
    if (text.length < line + 4 + size) return undefined
    body += text.slice(line + 2, line + 2 + size)
    at = line + 4 + size
  }
}
