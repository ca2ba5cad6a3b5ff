import type { Server } from 'node:net'
import { formatSpiffeId } from '#core/identity/spiffe.ts'
import type { Doors } from '#core/time/clock.ts'
import type { SocketAddress } from '#core/workload/workload.ts'
import type { Log } from './admin/log.ts'
import { adminPages, probePages, type ProxyState, type Shown } from './admin/pages.ts'
import { servePages } from './admin/server.ts'
import { LastGood } from './ads/last-good.ts'
import { follow } from './ads/follow.ts'
import { PlanCell } from './ads/plan-cell.ts'
import { Ads } from './ads/stream.ts'
import type { Bootstrap } from './bootstrap/bootstrap.ts'
import { serveNames } from './dns/serve-names.ts'
import { certificateService } from './identity/certificate-service.ts'
import { readJoinToken } from './identity/join-token.ts'
import { Secrets } from './identity/secrets.ts'
import { WorkloadIdentity } from './identity/workload-identity.ts'
import { Runtime } from './runtime.ts'
import { capturedBy, proveCapture } from './capture/proof.ts'
import { CaptureWatch, PERIOD_MS } from './capture/capture-watch.ts'
import { Health } from './probe/health.ts'
import { descriptorsOf } from './upgrade/listening-sockets.ts'
import { readinessOf } from './probe/readiness-of.ts'
import type { Readiness } from './probe/readiness.ts'
import { type Start, startWith } from './settings/proxy-settings.ts'
import { ToldSettings } from './settings/told-settings.ts'
import type { Inheritance } from './upgrade/successor.ts'
import { LoadReports } from './telemetry/load-report-stream.ts'
import { Spans } from './telemetry/spans.ts'
import { trafficOf } from './workers/traffic.ts'
import { Workers } from './workers/workers.ts'

/** How long a start waits for the control plane before it serves what it last had. */
const RESTORE_AFTER_MS = 2000

/** A stop gives those who still call a workload that has left so long to hear of it. */
const INBOUND_END_MS = 5000

/** What a proxy asks of its process. */
export interface ProcessDoors {
  readonly log: Log
  readonly readFile: (path: string) => string
  readonly memory: Shown['memory']
  /** Of this machine, those of loopback left out; absent: none is known. */
  readonly ownAddresses?: () => readonly string[]
  /** Processors that it may use; 1 unless told. */
  readonly cores?: number
  /** Ends the process, after a drain that the admin port asked for. */
  readonly quit: () => void
  /** What a proxy takes over from the process that it replaces. */
  readonly inheritance?: Inheritance
}

/** A proxy at work. */
export interface Proxy {
  readonly runtime: Runtime
  readonly cell: PlanCell
  readonly identity: WorkloadIdentity
  readonly adminPort: number
  /** Resolves when the first full configuration is in force, its listeners are bound, and the identity is there. */
  readonly ready: Promise<void>
  state(): ProxyState
  /** The application may be called: from now on the mesh does. Until then the workload is known to it and left alone. */
  announce(): void
  /** Every port that is listened on, by the address that the configuration gives it. */
  listening(): [SocketAddress, Server][]
  /** The sockets beside those of the main thread, of other threads or of such as are no more: descriptors of this process. */
  listeningThreads(): Promise<{ readonly key: string; readonly fd: number }[]>
  /** First half of stopping: leaves the mesh and takes no new inbound requests; resolves when those in flight have ended, or the time is over. Outbound goes on. */
  leaveInbound(withinMs: number): Promise<void>
  /** Leaves the mesh, lets what is in flight end, closes all. Safe to call twice. */
  stop(): Promise<void>
}

/**
 * Starts a proxy: admin port → identity → configuration → listeners → ready. What fails on the way is tried again for ever; only a taken admin port ends the start.
 * @throws Error when the admin port cannot be bound
 */
export async function startProxy(doors: Doors, bootstrap: Bootstrap, around: ProcessDoors): Promise<Proxy> {
  const { clock } = doors
  const { log } = around
  const { node, controlPlane } = bootstrap
  const startedMs = clock.monotonicMs()
  const sockets = around.inheritance?.sockets
  const principal = formatSpiffeId(bootstrap.identity)
  const secrets = new Secrets(log)
  const identity = new WorkloadIdentity(
    doors,
    { uri: principal, lifetimeMs: bootstrap.certificateLifetimeMs, joinToken: () => readJoinToken(bootstrap.joinToken, around.readFile) },
    certificateService(controlPlane, () => clock.wallMs()),
    log,
  )
  const cell = new PlanCell(clock, secrets, log, bootstrap.dns.length > 0)
  const settings = new ToldSettings(doors, { controlPlane, node, directory: bootstrap.stateDirectory }, log)
  let workers: Workers | undefined
  const spans = node.otlp === '' ? undefined : new Spans(clock, node.otlp, node, log)
  const runtime = new Runtime(doors, cell, secrets, { node, log, limits: bootstrap.limits, residentBytes: () => around.memory().rss, principal, ...(spans && { onSpan: spans.onSpan }), ...(sockets && { sockets }) })
  const traffic = trafficOf(runtime, () => workers)
  let begun: Start | undefined
  const stream = {
    controlPlane,
    get node() {
      return begun?.node ?? node
    },
    certificate: () => identity.now,
  }
  const ads = new Ads(doors, stream, cell, log)
  const health = new Health((why) => ads.setHealth(why), around.inheritance !== undefined)
  // What carried the traffic so far goes on being called.
  if (around.inheritance !== undefined) ads.setHealth('')
  const captured = () => (bootstrap.provesCapture ? capturedBy(cell.listeners.values()) : [])
  const capture: CaptureWatch = new CaptureWatch(clock, () => proveCapture(captured(), { clock, ownAddresses: around.ownAddresses ?? (() => []) }), () => {
    health.setCapture(capture.why)
    look()
  }, log, around.inheritance !== undefined, PERIOD_MS)
  const loads = new LoadReports(doors, stream, () => traffic.takeLoads(), log)
  const lastGood = bootstrap.stateDirectory === undefined ? undefined : new LastGood(clock, bootstrap.stateDirectory, node.id, cell, log)

  let readyAtMs = 0
  let stopping: Promise<void> | undefined
  let announceReady = (): void => {}
  const ready = new Promise<void>((resolve) => (announceReady = resolve))
  const state = (): ProxyState => (stopping ? 'DRAINING' : readyAtMs > 0 ? 'LIVE' : 'INITIALIZING')
  const look = (): void => {
    if (readyAtMs > 0 || stopping || !cell.isWarm || bound.pending > 0 || workers?.areWarm === false || !identity.now) return
    // Rules are often put in force beside this start: what is called before they are would go past all policies.
    if (captured().length > 0) capture.start()
    if (capture.why !== '') return
    readyAtMs = clock.monotonicMs()
    log.info('proxy.ready', { afterMs: Math.round(readyAtMs - startedMs), revision: cell.revision, listeners: cell.listeners.size, clusters: cell.clusters.size })
    announceReady()
  }

  let left: Promise<void> | undefined
  let readiness: Readiness | undefined
  const leaveMesh = (): Promise<void> => {
    if (left !== undefined) return left
    identity.stop()
    settings.stop()
    readiness?.stop()
    capture.stop()
    // The registry takes the workload out before its listeners close, so that peers stop calling first.
    return (left = ads.stop())
  }
  const stop = (): Promise<void> => (stopping ??= leave())
  async function leave(): Promise<void> {
    log.info('proxy.draining', { graceMs: bootstrap.drainMs })
    lastGood?.stop()
    await loads.stop()
    await leaveMesh()
    await traffic.drainInbound(Math.min(bootstrap.drainMs, INBOUND_END_MS))
    await traffic.drain(bootstrap.drainMs, bootstrap.announceMs)
    cell.stop()
    loads.close()
    await spans?.stop()
    log.info('proxy.drained', {})
  }

  const shown: Shown = {
    clock,
    node,
    startedWallMs: clock.wallMs(),
    cell,
    secrets,
    identity,
    ads,
    runtime,
    traffic,
    log,
    state,
    uncaptured: () => capture.why,
    memory: around.memory,
    drain: () => void stop(),
    quit: () => void stop().then(around.quit),
  }
  const names = bootstrap.dns.length === 0 ? undefined : await serveNames(clock, cell, { namespace: node.namespace, addresses: bootstrap.dns, readFile: around.readFile }, log)
  const admin = await servePages(bootstrap.admin, adminPages(shown), log, sockets)
  const probes = await Promise.all(bootstrap.probes.map((at) => servePages(at, probePages(shown), log, sockets)))
  log.info('proxy.starting', { node: node.id, admin: admin.port, probes: probes.map(({ port }) => port), controlPlane: controlPlane.target })

  const bound = follow(cell, runtime, log, look)
  cell.whenWarm(look)
  lastGood?.keep()
  let joined = false
  let restoring = false
  const join = (): void => {
    if (begun === undefined || identity.now === undefined || stopping) return
    if (joined) ads.renew()
    else ads.start()
    joined = true
    loads.start()
    look()
  }
  void settings.known.then((told) => {
    if (stopping) return
    begun = startWith(bootstrap, told, around.cores ?? 1)
    const { environment, concurrency = 1 } = begun
    const threads = concurrency - 1
    runtime.begin({ environment, sharesPorts: threads > 0 })
    if (threads > 0) {
      const beside = (workers = new Workers(threads, { weftWorker: true, node, principal, limits: bootstrap.limits, environment, ticketSecret: secrets.ticketSecret, logLevel: log.level }, sockets?.forThreads(threads) ?? [], log, look, around.quit))
      // Admin and probes have taken theirs, which they share with nobody.
      sockets?.share()
      cell.echo((update) => beside.update(update))
      if (identity.now !== undefined) beside.useIdentity(identity.now)
    }
    if (restoring) lastGood?.restore()
    join()
  })
  identity.subscribe((certificate) => {
    secrets.useIdentity(certificate)
    workers?.useIdentity(certificate)
    if (stopping) return
    settings.ask(certificate)
    join()
  })
  clock.after(RESTORE_AFTER_MS, () => {
    if (lastGood?.isKept !== true || ads.isConnected || cell.isWarm || stopping) return
    restoring = true
    if (begun === undefined) settings.useSaved()
    else lastGood.restore()
  })
  identity.start(around.inheritance?.certificate)

  return {
    runtime,
    cell,
    identity,
    adminPort: admin.port,
    ready,
    state,
    announce() {
      const probe = begun?.probe
      if (probe === undefined) return health.setApplication('')
      readiness ??= readinessOf(probe, { clock, ports: node.ports, environment: begun?.environment ?? {}, runsCommands: bootstrap.runsCommands }, { isReady: health.isReady, say: (why) => health.setApplication(why), log })
      readiness.start()
    },
    listening: () => [[bootstrap.admin, admin.server], ...bootstrap.probes.map((at, place): [SocketAddress, Server] => [at, probes[place]?.server ?? admin.server]), ...runtime.listening()],
    listeningThreads: async () => [...descriptorsOf(runtime.listeningBeside()), ...(await (workers?.ask('sockets') ?? [])).flat()],
    async leaveInbound(withinMs) {
      await leaveMesh()
      await traffic.drainInbound(withinMs)
    },
    async stop() {
      await stop()
      // Until now the application may have had calls to make.
      names?.close()
      for (const { server } of [admin, ...probes]) {
        server.close()
        server.closeAllConnections()
      }
    },
  }
}
