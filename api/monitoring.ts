import { Hono } from 'hono'
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { Store } from '#db/store.ts'
import type { Ledger } from './serve/ledger.ts'

/** The control plane's own `/metrics`, `/healthz` and `/readyz`, on a port that no tenant needs to reach. */
export function monitoringApp(store: Store, ledger: Ledger): Hono {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, prefix: 'weft_' })
  new Gauge({
    name: 'weft_serve_streams',
    help: 'Discovery streams that are open on this replica',
    registers: [registry],
    collect() {
      this.set([...ledger.streams()].length)
    },
  })
  new Gauge({
    name: 'weft_serve_streams_rejecting',
    help: 'Discovery streams whose proxy refused something that it was sent',
    registers: [registry],
    collect() {
      this.set([...ledger.streams()].filter((stream) => stream.rejections.length > 0).length)
    },
  })
  const app = new Hono()
  app.get('/metrics', async (c) => c.text(await registry.metrics(), 200, { 'content-type': registry.contentType }))
  app.get('/healthz', (c) => c.text('ok\n'))
  // What CSDS says, as JSON: for who runs this replica. Names and states alone unless one node is asked for.
  app.get('/debug/csds', async (c) => {
    const mesh = c.req.query('mesh')
    if (mesh === undefined) return c.text('which mesh? ?mesh=ID, and &node=ID for one proxy with all that it was sent\n', 400)
    const node = c.req.query('node')
    const { clientStatusJson } = await import('./observe/client-status-json.ts')
    return c.json(clientStatusJson(ledger, mesh, node))
  })
  app.get('/readyz', async (c) => {
    try {
      await store.ping()
      return c.text('ok\n')
    } catch {
      // The reason is for the log of whoever runs the database, not for whoever asks here.
      return c.text('the database does not answer\n', 503)
    }
  })
  return app
}
