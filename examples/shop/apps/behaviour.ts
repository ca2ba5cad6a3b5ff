import http from 'node:http'

/**
 * How a workload misbehaves, for trying out what the mesh does about it. Told on its own port, past the mesh:
 * `curl -X PUT http://127.0.1.3:8080/behaviour -d '{"status":503,"times":2}'`; `{}` makes it good again. `GET /seen` tells what arrived.
 */
export interface Behaviour {
  /** Answer this status… */
  readonly status?: number
  /** …to so many requests, then be good again. For ever when left out. */
  readonly times?: number
  /** Wait before each answer. */
  readonly delayMs?: number
  /** Never answer. */
  readonly hang?: boolean
  /** Read the request, then cut the connection. */
  readonly reset?: boolean
}

export interface Seen {
  readonly total: number
  /** The newest, at most 100: method, path and headers as they arrived. */
  readonly last: readonly { method: string; path: string; headers: http.IncomingHttpHeaders }[]
}

export type Handler = (request: http.IncomingMessage, body: string, answer: (status: number, body: unknown) => void) => void

/** A workload's server: its handler, the behaviour in front of it, `/healthz`, and an orderly end. */
export function serve(settings: { address: string; port: number; version: string }, handle: Handler): void {
  let behaviour: Behaviour = {}
  let timesLeft = Infinity
  let total = 0
  const last: Seen['last'][number][] = []

  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      const path = request.url ?? '/'
      const answer = (status: number, content: unknown) => {
        response.writeHead(status, { 'content-type': 'application/json', 'x-version': settings.version })
        response.end(`${JSON.stringify(content)}\n`)
      }
      if (path === '/healthz') return answer(200, { ok: true })
      if (path === '/seen') return answer(200, { total, last } satisfies Seen)
      if (path === '/behaviour' && request.method === 'PUT') {
        behaviour = JSON.parse(body || '{}') as Behaviour
        timesLeft = behaviour.times ?? Infinity
        total = 0
        last.length = 0
        return answer(200, behaviour)
      }
      total++
      last.push({ method: request.method ?? '', path, headers: request.headers })
      if (last.length > 100) last.shift()
      const misbehaves = timesLeft > 0
      if (misbehaves) timesLeft--
      if (misbehaves && behaviour.hang) return
      if (misbehaves && behaviour.reset) return request.socket.destroy()
      const reply = () => (misbehaves && behaviour.status ? answer(behaviour.status, { error: 'told to fail' }) : handle(request, body, answer))
      if (misbehaves && behaviour.delayMs) setTimeout(reply, behaviour.delayMs)
      else reply()
    })
  })
  server.keepAliveTimeout = 65_000
  server.listen(settings.port, settings.address)
  process.on('SIGTERM', () => {
    server.close(() => process.exit(0))
    server.closeIdleConnections()
  })
}
