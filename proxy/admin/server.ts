import { createServer, type IncomingMessage, type Server } from 'node:http'
import { isIP } from 'node:net'
import type { SocketAddress } from '#core/workload/workload.ts'
import type { ListeningSockets } from '../upgrade/listening-sockets.ts'
import { describeError, type Log } from './log.ts'

/** What a page answers. */
export interface Page {
  readonly status?: number
  readonly type?: string
  readonly body: string
}

/** `GET /clusters` → its page; the query is what follows the question mark. */
export type Pages = ReadonlyMap<string, (query: URLSearchParams) => Page | Promise<Page>>

/** Listens on an address of its own, or on a socket for it that is there already. Rejects when that is taken. Nothing here reads a body: requests that bring one are answered without it. */
export function servePages(at: SocketAddress, pages: Pages, log: Log, sockets?: ListeningSockets): Promise<{ server: Server; port: number }> {
  const loopbackOnly = isLoopback(at.address)
  const server = createServer({ headersTimeout: 5000, requestTimeout: 10_000 }, (request, response) => {
    request.resume()
    void answer(request, pages, log, loopbackOnly).then(({ status = 200, type = 'text/plain; charset=utf-8', body }) => {
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-cache, max-age=0', 'x-content-type-options': 'nosniff', server: 'weft' })
      response.end(request.method === 'HEAD' ? undefined : body)
    })
  })
  server.maxConnections = 100
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    const listening = (): void => {
      server.off('error', reject)
      const bound = server.address()
      resolve({ server, port: typeof bound === 'object' && bound !== null ? bound.port : at.port })
    }
    const inherited = sockets?.take(at)
    if (inherited === undefined) server.listen(at.port, at.address, listening)
    else server.listen(inherited, listening)
  })
}

async function answer(request: IncomingMessage, pages: Pages, log: Log, loopbackOnly: boolean): Promise<Page> {
  // A page from elsewhere whose name was made to lead here asks by that name, and its browser takes us for it (DNS rebinding).
  if (loopbackOnly && request.headers.host !== undefined && !isLoopback(hostIn(request.headers.host))) return { status: 403, body: 'this port is asked by localhost or its address\n' }
  // What changes something is asked for by tools: a page that somebody looks at on this host may not end the proxy. Browsers say where such a request comes from.
  if (request.method === 'POST' && (request.headers.origin !== undefined || request.headers['sec-fetch-site'] !== undefined)) return { status: 403, body: 'not from a browser\n' }
  const method = request.method === 'HEAD' ? 'GET' : (request.method ?? 'GET')
  const url = request.url ?? '/'
  const question = url.indexOf('?')
  const path = question < 0 ? url : url.slice(0, question)
  const page = pages.get(`${method} ${path}`)
  if (!page) {
    const other = pages.has(`${method === 'GET' ? 'POST' : 'GET'} ${path}`)
    return other ? { status: 405, body: `use ${method === 'GET' ? 'POST' : 'GET'}\n` } : { status: 404, body: `no such page; try /help\n` }
  }
  try {
    return await page(new URLSearchParams(question < 0 ? '' : url.slice(question + 1)))
  } catch (error) {
    log.error('admin.page-failed', { path, error: describeError(error) })
    return { status: 500, body: `${describeError(error)}\n` }
  }
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

/** The host of `HOST:PORT`, brackets of IPv6 taken off. */
const hostIn = (authority: string): string => authority.toLowerCase().replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1')

/** JSON for people: maps as objects, sets as lists, functions left out. */
export const jsonPage = (value: unknown): Page => ({ type: 'application/json', body: `${JSON.stringify(value, plain, 2)}\n` })

function plain(_key: string, value: unknown): unknown {
  if (value instanceof Map) return Object.fromEntries(value)
  if (value instanceof Set) return [...value]
  return typeof value === 'bigint' ? value.toString() : value
}
