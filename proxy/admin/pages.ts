import type { Clock } from '#core/time/clock.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { Ads } from '../ads/stream.ts'
import type { PlanCell } from '../ads/plan-cell.ts'
import type { Secrets } from '../identity/secrets.ts'
import type { WorkloadIdentity } from '../identity/workload-identity.ts'
import type { Runtime } from '../runtime.ts'
import type { Traffic } from '../workers/traffic.ts'
import { configDump } from './config-dump.ts'
import { isLogLevel, type Log, logLevels } from './log.ts'
import { proxyMetrics } from './proxy-metrics.ts'
import { certificatesJson, clustersJson, clustersText } from './reports.ts'
import { jsonPage, type Page, type Pages } from './server.ts'

/** What the pages show and steer: the parts of one running proxy. */
export interface Shown {
  readonly clock: Clock
  readonly node: ProxyNode
  readonly startedWallMs: number
  readonly cell: PlanCell
  readonly secrets: Secrets
  readonly identity: WorkloadIdentity
  readonly ads: Ads
  readonly runtime: Runtime
  readonly traffic: Traffic
  readonly log: Log
  readonly state: () => ProxyState
  /** Why it is not proven that the application's traffic comes here; empty when it is, or none is captured. */
  readonly uncaptured: () => string
  readonly memory: () => { readonly rss: number; readonly heapTotal: number; readonly heapUsed: number; readonly external: number }
  readonly drain: () => void
  readonly quit: () => void
}

/** Envoy's words. */
export type ProxyState = 'LIVE' | 'INITIALIZING' | 'DRAINING'

/** Readiness: 200 when live and proven to be reached, else 503, with the state and the reason. */
export function readyPages({ state, uncaptured }: Pick<Shown, 'state' | 'uncaptured'>): [string, () => Page][] {
  const ready = (): Page => {
    const [now, why] = [state(), uncaptured()]
    if (why === '') return { status: now === 'LIVE' ? 200 : 503, body: `${now}\n` }
    return { status: 503, body: `${now === 'LIVE' ? 'NOT CAPTURED' : now}\n${why}\n` }
  }
  return [['GET /ready', ready], ['GET /healthz/ready', ready]]
}

/** Readiness and metrics: what may be asked for from other machines. */
export function probePages(shown: Shown): Pages {
  const metrics = async (): Promise<Page> => ({ type: 'text/plain; version=0.0.4; charset=utf-8', body: (await shown.traffic.metricsText()) + proxyMetrics(shown) })
  return new Map<string, () => Page | Promise<Page>>([
    ...readyPages(shown),
    ['GET /metrics', metrics],
    ['GET /stats/prometheus', metrics],
  ])
}

/** Envoy's word for it; here what the access logs hold back is written, and files stay open. */
async function writeLogs({ traffic }: Shown): Promise<Page> {
  await traffic.flushLogs()
  return { body: 'OK\n' }
}

async function clusters({ traffic }: Shown, asJson: boolean): Promise<Page> {
  const reports = await traffic.clusterReports()
  return asJson ? jsonPage(clustersJson(reports)) : { body: clustersText(reports) }
}

/** All pages of the admin port. They show configuration and can end the process: bound to loopback unless told otherwise. */
export function adminPages(shown: Shown): Pages {
  const pages = new Map<string, (query: URLSearchParams) => Page | Promise<Page>>([
    ...probePages(shown),
    ['GET /config_dump', async () => jsonPage(await configDump(shown.cell, shown.secrets))],
    ['GET /clusters', (query) => clusters(shown, query.get('format') === 'json')],
    ['GET /certs', () => jsonPage(certificatesJson(shown.secrets, shown.clock.wallMs()))],
    ['GET /listeners', () => ({ body: [...shown.cell.listeners.values()].map(({ name, bind }) => `${name}::${bind ? `${bind.address}:${shown.runtime.portOf(name) ?? bind.port}` : 'not bound'}\n`).join('') })],
    ['GET /server_info', () => jsonPage(serverInfo(shown))],
    ['GET /memory', () => jsonPage(memory(shown))],
    ['GET /logging', () => ({ body: `level: ${shown.log.level}\n` })],
    ['POST /logging', (query) => setLevel(shown.log, query.get('level') ?? '')],
    ['POST /reopen_logs', () => writeLogs(shown)],
    ['POST /drain', () => begin(shown.drain)],
    ['POST /quitquitquit', () => begin(shown.quit)],
  ])
  pages.set('GET /help', () => ({ body: [...pages.keys()].map((page) => `${page}\n`).join('') }))
  return pages
}

function begin(act: () => void): Page {
  // After the answer has left.
  setImmediate(act)
  return { body: 'OK\n' }
}

function setLevel(log: Log, level: string): Page {
  if (!isLogLevel(level)) return { status: 400, body: `level must be one of ${logLevels.join(', ')}\n` }
  log.level = level
  return { body: `level: ${level}\n` }
}

/** envoy.admin.v3.ServerInfo, as far as it applies. */
function serverInfo({ clock, node, startedWallMs, state, cell, ads }: Shown): object {
  const uptime = `${Math.floor((clock.wallMs() - startedWallMs) / 1000)}s`
  return {
    version: `weft/${node.version}`,
    state: state(),
    uptime_current_epoch: uptime,
    uptime_all_epochs: uptime,
    node: { id: node.id, locality: node.locality, user_agent_name: node.engine },
    weft: { revision: cell.revision, connected: ads.isConnected },
  }
}

/** envoy.admin.v3.Memory: bytes. */
function memory({ memory: read }: Shown): object {
  const { rss, heapTotal, heapUsed, external } = read()
  return { allocated: String(heapUsed), heap_size: String(heapTotal), total_physical_bytes: String(rss), external: String(external) }
}
