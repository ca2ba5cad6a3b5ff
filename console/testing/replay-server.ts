import { type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { consoleFiles, consoleSecurityPolicy } from '#infra/build/static-files.ts'

export interface Replay {
  readonly url: string
  /** What `GET` on a path below the mesh answers. */
  readonly documents: Map<string, unknown>
  /** Sends an event to every stream that is open. */
  emit(event: string, data: unknown): void
  /** Cuts all streams; while `away`, new ones are refused with 503. */
  cut(away: boolean): void
  readonly streams: () => number
  /** Paths asked for, in order. */
  readonly asked: string[]
  close(): Promise<void>
}

export const replayKey = 'weft_key_replay'

/** The built page, and the REST paths it reads, replaying what a test hands it. For tests of the page alone. */
export async function startReplay(directory: string, port = 0): Promise<Replay> {
  const files = consoleFiles(directory)
  const documents = new Map<string, unknown>()
  const streams = new Set<ServerResponse>()
  const asked: string[] = []
  let away = false
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://replay')
    const json = (status: number, body: unknown): void => void response.writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json' }).end(JSON.stringify(body))
    const file = files.get(url.pathname)
    if (file !== undefined) return void response.writeHead(200, { 'content-type': file.contentType, 'content-security-policy': consoleSecurityPolicy, 'cache-control': file.immutable ? 'public, max-age=31536000, immutable' : 'no-cache' }).end(file.bytes)
    asked.push(url.pathname)
    if (request.headers.authorization !== `Bearer ${replayKey}`) return json(401, { type: 'about:blank', title: 'This key is not accepted', status: 401 })
    if (url.pathname === '/api/v1/organizations') return json(200, { items: [{ name: 'demo', createdAt: '2026-01-01T00:00:00Z' }], next: null })
    if (url.pathname === '/api/v1/organizations/demo/meshes') return json(200, { items: documents.get('meshes') ?? [{ name: 'shop' }], next: null })
    const below = /^\/api\/v1\/organizations\/demo\/meshes\/shop\/(\w+)$/.exec(url.pathname)?.[1]
    if (below === 'events') {
      if (away) return json(503, { type: 'about:blank', title: 'The database does not answer', status: 503 })
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      response.write(': hello\n\n')
      streams.add(response)
      response.on('close', () => streams.delete(response))
      const topology = documents.get('topology')
      if (topology !== undefined) response.write(`event: topology\ndata: ${JSON.stringify(topology)}\n\n`)
      return undefined
    }
    const document = below === undefined ? undefined : documents.get(below)
    if (document === undefined || away) return json(404, { type: 'about:blank', title: 'Not found', status: 404 })
    return json(200, document)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    documents,
    asked,
    emit: (event, data) => {
      for (const stream of streams) stream.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
    },
    cut: (gone) => {
      away = gone
      for (const stream of streams) stream.destroy()
    },
    streams: () => streams.size,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
