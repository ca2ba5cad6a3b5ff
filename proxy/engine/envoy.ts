import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { formatSpiffeId } from '#core/identity/spiffe.ts'
import type { Doors } from '#core/time/clock.ts'
import type { Bootstrap } from '../bootstrap/bootstrap.ts'
import { readyPages } from '../admin/pages.ts'
import { servePages } from '../admin/server.ts'
import { CaptureWatch, ENVOY_PERIOD_MS } from '../capture/capture-watch.ts'
import { type Captured, proveCapture } from '../capture/proof.ts'
import { Health } from '../probe/health.ts'
import { envoyBootstrap } from '../bootstrap/envoy-bootstrap.ts'
import { serveNames } from '../dns/serve-names.ts'
import { certificateService } from '../identity/certificate-service.ts'
import { readJoinToken } from '../identity/join-token.ts'
import { WorkloadIdentity } from '../identity/workload-identity.ts'
import type { Readiness } from '../probe/readiness.ts'
import { readinessOf } from '../probe/readiness-of.ts'
import { type Start, startWith } from '../settings/proxy-settings.ts'
import { ToldSettings } from '../settings/told-settings.ts'
import type { ProcessDoors } from '../start.ts'
import type { Wrapper } from '../wrap.ts'
import { EnvoyProcess } from './envoy-process.ts'
import { AdsRelay } from './ads-relay.ts'
import { AgentNames } from './relayed-names.ts'
import { SecretServer } from './secret-server.ts'

/** A stop gives those who still call a workload that has left so long to hear of it. */
const INBOUND_END_MS = 5000

/** A stock Envoy with its agent. */
export interface RunningEnvoy extends Wrapper {
  readonly identity: WorkloadIdentity
  /** Of Envoy; undefined while it is down. */
  pid(): number | undefined
}

/**
 * The agent beside a stock Envoy: gets and renews the workload's identity, serves it over a unix socket, writes the bootstrap, and keeps Envoy running. Envoy's discovery stream passes through it, so that it says
 * what Envoy cannot: when the application may be called, and that it leaves; and it answers look-ups. Configuration and traffic are Envoy's own, and so is the admin port.
 * @throws Error when the socket or an address for look-ups cannot be bound
 */
export async function runEnvoy(doors: Doors, bootstrap: Bootstrap, engine: { readonly binary: string; readonly arguments: readonly string[] }, around: ProcessDoors): Promise<RunningEnvoy> {
  const { log } = around
  const { node, controlPlane } = bootstrap
  const startedMs = doors.clock.monotonicMs()
  // Below the system's own folder for such things: the path of a unix socket has 107 bytes at most. Made for this user alone.
  const folder = mkdtempSync(path.join(tmpdir(), 'weft-envoy-'))
  const sdsSocket = path.join(folder, 'sds.sock')
  const configFile = path.join(folder, 'envoy.json')
  const adminAddressFile = path.join(folder, 'admin-address')

  const secrets = new SecretServer()
  const identity = new WorkloadIdentity(
    doors,
    { uri: formatSpiffeId(bootstrap.identity), lifetimeMs: bootstrap.certificateLifetimeMs, joinToken: () => readJoinToken(bootstrap.joinToken, around.readFile) },
    certificateService(controlPlane, () => doors.clock.wallMs()),
    log,
  )
  const names = bootstrap.dns.length === 0 ? undefined : new AgentNames(log)
  const relay = new AdsRelay(doors.clock, { controlPlane, certificate: () => identity.now, names }, log)
  relay.serveOn(secrets.server)
  await secrets.listen(sdsSocket)
  const lookups = names === undefined ? undefined : await serveNames(doors.clock, names, { namespace: node.namespace, addresses: bootstrap.dns, readFile: around.readFile }, log)
  const drainSeconds = Math.max(1, Math.ceil(bootstrap.drainMs / 1000))
  const envoy = new EnvoyProcess(doors, engine.binary, adminAddressFile, log)
  // Envoy starts once there is an identity: it would only wait, and could not reach the control plane. And once the mesh has said how.
  const settings = new ToldSettings(doors, { controlPlane, node, directory: bootstrap.stateDirectory }, log)
  let begun: Start | undefined
  identity.subscribe((certificate) => {
    secrets.useIdentity(certificate)
    settings.ask(certificate)
    if (begun !== undefined) relay.renew()
  })
  void settings.known.then((told) => {
    if (left !== undefined) return
    begun = startWith(bootstrap, told, around.cores ?? 1)
    writeFileSync(configFile, JSON.stringify(envoyBootstrap({ node: begun.node, controlPlane, admin: bootstrap.admin, sdsSocket, limits: bootstrap.limits, agentRelays: true })), { mode: 0o600 })
    log.info('envoy.starting', { node: node.id, binary: engine.binary })
    const words = [
      ...['-c', configFile, '--admin-address-path', adminAddressFile, '--use-dynamic-base-id', '--drain-time-s', String(drainSeconds)],
      ...(begun.concurrency === undefined || engine.arguments.includes('--concurrency') ? [] : ['--concurrency', String(begun.concurrency)]),
      ...['--log-level', envoyLevel(bootstrap.logLevel), ...engine.arguments],
    ]
    envoy.start(words, begun.environment)
  })
  identity.start()
  const health = new Health((why) => relay.setHealth(why), false)
  let captured: readonly Captured[] = []
  let tellProven = (): void => {}
  const proven = new Promise<void>((resolve) => (tellProven = resolve))
  // Envoy that is down says nothing of the rules.
  const prove = (): Promise<string> => (envoy.pid === undefined ? Promise.resolve(capture.why) : proveCapture(captured, { clock: doors.clock, ownAddresses: around.ownAddresses ?? (() => []) }))
  const capture: CaptureWatch = new CaptureWatch(doors.clock, prove, () => {
    health.setCapture(capture.why)
    if (capture.why === '') tellProven()
  }, log, false, ENVOY_PERIOD_MS)
  let isReady = false
  const ready = Promise.all([envoy.live(), names?.complete]).then(async ([listening]) => {
    captured = listening
    if (bootstrap.provesCapture && captured.length > 0) {
      capture.start()
      await proven
    }
    isReady = stopping === undefined
    if (isReady) log.info('proxy.ready', { afterMs: Math.round(doors.clock.monotonicMs() - startedMs) })
  })
  const state = () => (stopping !== undefined ? 'DRAINING' : isReady && envoy.pid !== undefined ? 'LIVE' : 'INITIALIZING')
  const probes = await Promise.all(bootstrap.probes.map((at) => servePages(at, new Map(readyPages({ state, uncaptured: () => capture.why })), log)))

  let left: Promise<void> | undefined
  let readiness: Readiness | undefined
  const leaveMesh = (): Promise<void> => {
    identity.stop()
    settings.stop()
    readiness?.stop()
    capture.stop()
    return (left ??= relay.leave())
  }
  let inboundOver: Promise<void> | undefined
  const leaveInbound = (withinMs: number): Promise<void> => (inboundOver ??= leaveMesh().then(() => envoy.drainInbound(withinMs)))
  let stopping: Promise<void> | undefined
  async function stop(): Promise<void> {
    if (envoy.pid !== undefined) await leaveInbound(Math.min(bootstrap.drainMs, INBOUND_END_MS))
    else await leaveMesh()
    await envoy.stop(bootstrap.drainMs, bootstrap.announceMs)
    lookups?.close()
    for (const { server } of probes) {
      server.close()
      server.closeAllConnections()
    }
    secrets.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  return {
    identity,
    pid: () => envoy.pid,
    ready,
    // A crash is the agent's to mend.
    ended: new Promise(() => {}),
    announce() {
      const probe = begun?.probe
      if (probe === undefined) return health.setApplication('')
      readiness ??= readinessOf(probe, { clock: doors.clock, ports: node.ports, environment: begun?.environment ?? {}, runsCommands: bootstrap.runsCommands }, { isReady: health.isReady, say: (why) => health.setApplication(why), log })
      readiness.start()
    },
    leaveInbound,
    stop: () => (stopping ??= stop()),
  }
}

const envoyLevel = (level: Bootstrap['logLevel']): string => (level === 'warn' || level === 'info' ? 'warning' : level === 'error' ? 'error' : level)
