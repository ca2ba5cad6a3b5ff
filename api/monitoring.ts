import { Hono } from 'hono'
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Store } from '#db/store.ts'
import { peerOf } from './access/source.ts'
import type { TurnedAway } from './access/turned-away.ts'
import { isLoopback } from './serve/credentials.ts'
import type { TypeCounts } from './serve/counts.ts'
import { lateMs, type XdsServer } from './serve/server.ts'

/** The control plane's own `/metrics`, `/healthz` and `/readyz`, on a port that no tenant needs to reach. */
export function monitoringApp(store: Store, { ledger, counts }: Pick<XdsServer, 'ledger' | 'counts'>, turnedAway?: TurnedAway): Hono {
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
  new Gauge({
    name: 'weft_serve_streams_late',
    help: 'Discovery streams that have owed an answer for more than 30 s',
    registers: [registry],
    collect() {
      this.set([...ledger.streams()].filter((stream) => stream.isLate(lateMs)).length)
    },
  })
  const byType = (name: string, help: string, read: (of: TypeCounts) => number): void => {
    new Counter({
      name,
      help,
      labelNames: ['type'],
      registers: [registry],
      collect() {
        this.reset()
        for (const [type, of] of counts.entries()) this.inc({ type: type.slice(type.lastIndexOf('.') + 1) }, read(of))
      },
    })
  }
  byType('weft_serve_pushes_total', 'Discovery responses sent', (of) => of.responses)
  byType('weft_serve_resources_sent_total', 'Resources in discovery responses, removals included', (of) => of.resources)
  byType('weft_serve_sent_bytes_total', 'Bytes of discovery responses, before compression and framing', (of) => of.bytes)
  byType('weft_serve_nacks_total', 'Discovery responses that a proxy refused', (of) => of.nacks)
  new Counter({
    name: 'weft_serve_resyncs_total',
    help: 'Streams that were sent again what they had not acknowledged for 30 s or more',
    registers: [registry],
    collect() {
      this.reset()
      this.inc(counts.resyncs)
    },
  })
  if (turnedAway) {
    new Counter({
      name: 'weft_api_turned_away_total',
      help: 'Requests that were answered with 429, by the API that was asked: they are not in the audit log',
      labelNames: ['api'],
      registers: [registry],
      collect() {
        this.reset()
        for (const [api, count] of turnedAway.entries()) this.inc({ api }, count)
      },
    })
  }
  const pushDuration = new Histogram({
    name: 'weft_serve_push_duration_seconds',
    help: 'Time of a change from its commit to the last answer of the proxies that it concerned',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers: [registry],
  })
  ledger.onPush((push) => pushDuration.observe(push.maxMs / 1000))
  const app = new Hono()
  app.get('/metrics', async (c) => c.text(await registry.metrics(), 200, { 'content-type': registry.contentType }))
  app.get('/healthz', (c) => c.text('ok\n'))
  // What CSDS says, as JSON: for who runs this replica. Names and states alone unless one node is asked for.
  app.get('/debug/csds', async (c) => {
    // It knows no keys, and all tenants: whoever is on the host runs this replica, and nobody else needs it.
    if (!isLoopback(`${peerOf(c)}:0`)) return c.text('from the host itself only\n', 403)
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
