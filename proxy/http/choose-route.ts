import { findVirtualHost, selectRoute } from '#core/route/select.ts'
import type { Exchange } from './exchange.ts'

/** Finds an exchange's route, and tells it; again, when a filter learned what routes may depend on. */
export function chooseRoute(exchange: Exchange): void {
  const { engine, request, stack } = exchange
  exchange.virtualHost = undefined
  exchange.route = undefined
  exchange.table = stack.tableFor(engine.plans, request)
  if (exchange.table === undefined) return
  exchange.virtualHost = findVirtualHost(exchange.table, request.authority)
  if (exchange.virtualHost !== undefined) exchange.route = selectRoute(exchange.virtualHost, request)
  if (exchange.route === undefined && request.method === 'CONNECT' && stack.plan.connects === true) chooseTunnel(exchange)
}

/** A known host without a route of its own for tunnels. */
function chooseTunnel(exchange: Exchange): void {
  const table = exchange.stack.connectTable(exchange.engine.plans)
  if (table?.any === undefined) return
  exchange.table = table
  exchange.virtualHost = table.any
  exchange.route = selectRoute(table.any, exchange.request)
}
