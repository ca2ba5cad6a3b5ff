import { createWriteStream, writeFileSync } from 'node:fs'
import path from 'node:path'
import { startControlPlane } from '#api/main.ts'
import type { ControlPlane } from '#api/control-plane.ts'
import { jsonLog } from '#api/log.ts'
import { kubeconfigText } from '#core/contract/kubeconfig.ts'
import { systemDoors } from '#core/time/system.ts'
import { lockFolder } from '#db/pglite/folder-lock.ts'
import { seedFolder } from '#db/pglite/template.ts'
import type { Mesh, Organization } from '#db/store.ts'
import type { BuiltParts } from '#infra/build/parts.ts'
import { installEnvoy } from '#infra/parts/envoy.ts'
import { cacheFolder } from '../cache-folder.ts'
import { callApi, meshPath } from '../client.ts'
import { storeContext, type Context } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { readFiles } from '../files.ts'
import { sealKeyOf, storeApiKey, storedApiKey } from './credentials.ts'
import { demoCertificate } from './demo-certificate.ts'
import { firstRequest } from './first-request.ts'
import { choosePorts, type Ports } from './ports.ts'
import { appSpec, gatewaySpec, sidecarSpec, type ShopSettings } from './processes.ts'
import type { Progress } from './progress.ts'
import { readyDocument, writeReady } from './ready.ts'
import { gatewayWorkload, shopWorkloads, type ShopWorkload } from './shop.ts'
import { Supervisor } from './supervisor.ts'
import { showTraffic } from './traffic-table.ts'
import { welcome } from './welcome.ts'

const root = path.resolve(import.meta.dirname, '../..')
const organizationName = 'demo'
const meshName = 'shop'
/** Everything must be gone 5 s after the signal; the last of it is killed a second earlier. */
const graceMs = 4000
const endMs = 4700
const readyTimeoutMs = 90_000
/** A process that has ended so often before all were ready will not get there by itself. */
const startsMax = 3
const tokenTtlMs = 3_600_000

interface UpOptions {
  readonly dir: string
  readonly engine: 'weft' | 'envoy'
  /** Undefined: the embedded one, in `dir`. */
  readonly database: string | undefined
  readonly shop: boolean
  readonly readyFile: string | undefined
  readonly portBase: number | undefined
  /** Orders a second that the shop's client makes. */
  readonly rate: number
  readonly parts: BuiltParts
  readonly progress: Progress
  /** When the command began, on the process's monotonic clock. */
  readonly beganMs: number
}

/** Runs the whole system until a signal ends it. */
export async function runUp(options: UpOptions): Promise<ExitCode> {
  const { dir } = options
  const ended = untilSignal()
  let unlock: () => Promise<void>
  try {
    unlock = await lockFolder(dir)
  } catch (error) {
    process.stderr.write(`weft up: ${error instanceof Error ? error.message : String(error)}. End that one first, or name another folder with --data\n`)
    return exitCodes.failed
  }
  let failed = false
  try {
    return await runLocked(options, ended)
  } catch (error) {
    failed = true
    process.stderr.write(`weft up: ${error instanceof Error ? error.message : String(error)}\n`)
    if (process.env['WEFT_DEBUG']) console.error(error)
    return exitCodes.failed
  } finally {
    await unlock()
    // All is ended and closed; what still waits for something that will not come, or was open when the rest could not be, would only hold up the end.
    if (ended.signalled || failed) process.exit(ended.signalled ? exitCodes.done : exitCodes.failed)
  }
}

async function runLocked(options: UpOptions, ended: Ended): Promise<ExitCode> {
  const { dir, engine, parts, progress } = options
  const ports = await choosePorts(dir, options.portBase)
  const workloads = options.shop ? shopWorkloads(ports) : []
  const supervisor = new Supervisor(dir, systemDoors.clock, (line) => progress.say(line))
  const log = createWriteStream(path.join(dir, 'logs', 'control-plane.log'), { flags: 'a', mode: 0o600 })
  let starting: Promise<ControlPlane> | undefined
  /** Undefined when the signal to end came first. */
  const unlessEnded = <T>(work: Promise<T>): Promise<T | undefined> => Promise.race([work, ended.then(() => undefined)])
  try {
    const rootCertificate = path.join(dir, 'root.pem')
    const envoy = engine === 'envoy' ? await progress.step('looking for Envoy', () => installEnvoy(), () => false) : undefined
    const settings: ShopSettings = { root, dir, ports, rate: options.rate, envoy, rootCertificate, parts }
    // Applications know nothing of the mesh: they start while it does.
    const apps = Promise.all(workloads.filter((workload) => workload.app !== 'client').map((workload) => supervisor.run(appSpec(settings, workload))))
    const database = options.database ?? `pglite:${path.join(dir, 'db')}`
    if (options.database === undefined) await progress.step('making an empty database', () => seedFolder(path.join(dir, 'db'), cacheFolder(), systemDoors), (made) => made)
    const plane = await progress.step('starting the control plane', () => unlessEnded((starting = startPlane(options, ports, database, (line) => log.write(line)))))
    if (plane === undefined) return exitCodes.done
    const organization = await plane.ensureOrganization(organizationName)
    const mesh = await plane.ensureMesh(organization, meshName, 'cluster.local')
    const context = await contextFor(plane, organization, dir, ports)
    writeFileSync(rootCertificate, plane.xds.rootCertificate)
    writeFileSync(path.join(dir, 'kubeconfig'), kubeconfigText(context.server, context.organization, context.mesh, context.apiKey), { mode: 0o600 })
    storeContext(context)
    const certificate = demoCertificate(dir, 'api.example.com')
    if (mesh.revision === 0 && workloads.length > 0) await progress.step("applying the shop's configuration", () => unlessEnded(applyShop(context, certificate)))
    if (ended.signalled) return exitCodes.done

    const pids = await progress.step(workloads.length > 0 ? 'starting the gateway and the sidecars' : 'starting the gateway', async () => {
      await apps
      const pids = await startProxies(supervisor, plane, mesh, settings, workloads)
      await unlessEnded(allSynced(plane, supervisor, mesh.id, [...workloads, gatewayWorkload]))
      return pids
    })
    if (ended.signalled) return exitCodes.done
    // The client calls at once, so it begins when there is somebody to answer.
    await Promise.all(workloads.filter((workload) => workload.app === 'client').map((workload) => supervisor.run(appSpec(settings, workload))))
    await supervisor.endLeftovers()
    const firstStatus = workloads.length > 0 ? await unlessEnded(firstRequest(ports.gatewayHttps, certificate.caFile)) : undefined
    if (ended.signalled) return exitCodes.done
    if (options.readyFile !== undefined) writeReady(options.readyFile, readyDocument({ plane, context, dir, ports, rootCertificate, workloads, engine, pids }))
    const seconds = (performance.now() - options.beganMs) / 1000
    process.stdout.write(welcome({ context, dir, ports, shop: options.shop, rate: options.rate, caFile: certificate.caFile, firstStatus, seconds }))
    await showTraffic(() => plane.topology(mesh.id), ended, (callback) => progress.onLine(callback))
    return exitCodes.done
  } finally {
    await progress.step('ending', async () => {
      await supervisor.end(graceMs)
      // When it did not start, its reason has been thrown already.
      await (await starting?.catch(() => undefined))?.close()
    })
    await new Promise<void>((resolve) => log.end(resolve))
  }
}

function startPlane(options: UpOptions, ports: Ports, database: string, write: (line: string) => void): Promise<ControlPlane> {
  return startControlPlane({
    doors: systemDoors,
    log: jsonLog(write, () => Date.now(), 'info'),
    database,
    sealKey: sealKeyOf(options.dir),
    address: '127.0.0.1',
    restPort: ports.rest,
    xdsPort: ports.xds,
    monitoringPort: ports.monitoring,
    xdsNames: ['127.0.0.1', 'localhost'],
    consoleDir: options.parts.consoleDir,
    // Whoever writes plugins here may ask these places anyway.
    modules: { privateNetworks: true },
    sole: true,
  })
}

type Ended = Promise<void> & { signalled: boolean }

/** Resolves at the first SIGINT or SIGTERM; a second one is not needed. */
function untilSignal(): Ended {
  const waiting: Ended = Object.assign(
    new Promise<void>((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) {
        process.on(signal, () => {
          waiting.signalled = true
          resolve()
          // Whatever hangs by then has no child left, and the database forgives it.
          setTimeout(() => process.exit(exitCodes.done), endMs).unref()
        })
      }
    }),
    { signalled: false },
  )
  return waiting
}

/** The key of an earlier start while it still opens; else a new one. */
async function contextFor(plane: ControlPlane, organization: Organization, dir: string, ports: Ports): Promise<Context> {
  const of = (apiKey: string): Context => ({ server: `http://127.0.0.1:${ports.rest}`, apiKey, organization: organizationName, mesh: meshName })
  const stored = storedApiKey(dir)
  if (stored !== undefined) {
    const works = await callApi(of(stored), 'GET', meshPath(of(stored), '')).then(
      () => true,
      () => false,
    )
    if (works) return of(stored)
  }
  const apiKey = await plane.createApiKey(organization, 'weft up', 'owner')
  storeApiKey(dir, apiKey)
  return of(apiKey)
}

async function applyShop(context: Context, certificate: { certificatePem: string; keyPem: string }): Promise<void> {
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'api-tls-cert', namespace: gatewayWorkload.namespace },
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': certificate.certificatePem, 'tls.key': certificate.keyPem },
  }
  const files = await readFiles([path.join(root, 'examples/shop/config')])
  await callApi(context, 'POST', meshPath(context, '/apply'), {
    files: [...files, { name: 'api-tls-cert', text: JSON.stringify(secret) }],
    message: 'the example shop',
  })
}

/** Starts all at once; answers process ids by name. */
async function startProxies(supervisor: Supervisor, plane: ControlPlane, mesh: Mesh, settings: ShopSettings, workloads: readonly ShopWorkload[]): Promise<Map<string, number>> {
  const pids = new Map<string, number>()
  const start = async (spec: Parameters<Supervisor['run']>[0]): Promise<void> => void pids.set(spec.name, (await supervisor.run(spec)).pid)
  const token = (of: { namespace: string; serviceAccount: string }) => plane.createJoinToken(mesh, of.namespace, of.serviceAccount, tokenTtlMs)
  await Promise.all([...workloads.map(async (workload) => start(sidecarSpec(settings, workload, await token(workload)))), token(gatewayWorkload).then((secret) => start(gatewaySpec(settings, secret)))])
  return pids
}

const nameOf = (of: { readonly name: string; readonly namespace: string }): string => `${of.name}.${of.namespace}`

/** Resolves when every expected proxy is connected, its workload takes calls, and all have acknowledged what they were sent of that. */
async function allSynced(plane: ControlPlane, supervisor: Supervisor, meshId: string, expected: readonly { readonly name: string; readonly namespace: string }[]): Promise<void> {
  const deadline = performance.now() + readyTimeoutMs
  for (;;) {
    const synced = new Set(
      plane
        .proxies(meshId)
        .filter((proxy) => proxy.types.length > 0 && proxy.types.every((type) => type.state === 'SYNCED' || type.state === 'NOT_SENT'))
        .map((proxy) => nameOf(proxy.node)),
    )
    // A workload is called when it says that it is well, which is after its first acknowledgement.
    const well = new Set(plane.workloads(meshId).filter((one) => one.health === 'healthy').map(nameOf))
    const missing = expected.filter((one) => !synced.has(nameOf(one)) || (one !== gatewayWorkload && !well.has(nameOf(one)))).map(nameOf)
    if (missing.length === 0) return
    const failing = supervisor.failing(startsMax)
    if (failing) throw new Error(`${failing.name} ended ${startsMax} times instead of starting; its last words: ${failing.lastWords} (all of them: ${failing.logFile})`)
    if (performance.now() > deadline) throw new Error(`${missing.join(', ')} did not acknowledge a configuration and say that it is well within ${readyTimeoutMs / 1000} s`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
