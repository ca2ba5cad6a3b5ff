import http from 'node:http'
import { call, traceHeaders } from './call.ts'
import { readSettings } from './settings.ts'

/** Takes orders, and has each paid by payment-service. `GET /orders` lists the last ones. */
const settings = readSettings()
const orders: { id: number; payment: string }[] = []
let nextId = 1

function forwarded(headers: http.IncomingHttpHeaders): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const name of traceHeaders) {
    const value = headers[name]
    if (typeof value === 'string') kept[name] = value
  }
  return kept
}

const server = http.createServer((request, response) => {
  const answer = (status: number, body: unknown) => {
    response.writeHead(status, { 'content-type': 'application/json', 'x-version': settings.version })
    response.end(`${JSON.stringify(body)}\n`)
  }
  const path = (request.url ?? '/').split('?')[0]
  if (path === '/healthz') return answer(200, { ok: true })
  if (path !== '/orders') return answer(404, { error: 'there are only /orders' })
  if (request.method === 'GET') return answer(200, { version: settings.version, orders: orders.slice(-10) })
  if (request.method !== 'POST') return answer(405, { error: 'GET or POST' })
  request.resume()
  request.on('end', () => {
    const id = nextId++
    call(settings.outbound, 'POST', 'payment-service:8080', '/api/pay', { body: JSON.stringify({ order: id }), headers: forwarded(request.headers) }).then(
      (paid) => {
        orders.push({ id, payment: paid.status === 200 ? 'paid' : `refused (${paid.status})` })
        if (orders.length > 100) orders.shift()
        answer(paid.status === 200 ? 201 : 502, { version: settings.version, order: id, payment: paid.status })
      },
      (error: Error) => answer(502, { version: settings.version, error: error.message }),
    )
  })
})
server.keepAliveTimeout = 65_000
server.listen(settings.port, settings.address)
process.on('SIGTERM', () => server.close(() => process.exit(0)))
