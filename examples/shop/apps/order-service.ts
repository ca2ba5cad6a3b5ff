import type http from 'node:http'
import { serve } from './behaviour.ts'
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

serve(settings, (request, _body, answer) => {
  const path = (request.url ?? '/').split('?')[0] ?? '/'
  if (path !== '/orders' && !path.startsWith('/orders/')) return answer(404, { error: 'there are only /orders' })
  if (request.method === 'GET' || request.method === 'HEAD') return answer(200, { version: settings.version, orders: orders.slice(-10) })
  if (request.method !== 'POST') return answer(405, { error: 'GET or POST' })
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
