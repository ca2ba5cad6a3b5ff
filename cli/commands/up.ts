import { createWriteStream, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { styleText } from 'node:util'
import { startControlPlane } from '#api/main.ts'
import type { ControlPlane } from '#api/control-plane.ts'
import { jsonLog } from '#api/log.ts'
import { kubeconfigText } from '#core/contract/kubeconfig.ts'
import { systemDoors } from '#core/time/system.ts'
import type { Mesh, Organization } from '#db/store.ts'
import { installEnvoy } from '#infra/parts/envoy.ts'
import { buildConsole } from '#infra/build/console.ts'
import { storeContext, type Context } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { readFiles } from '../files.ts'
import { callApi, meshPath } from '../client.ts'
import { readArgs, UsageError } from '../usage.ts'
import { sealKeyOf, storeApiKey, storedApiKey } from '../up/credentials.ts'
import { demoCertificate } from '../up/demo-certificate.ts'
import { choosePorts, type Ports } from '../up/ports.ts'
import { appSpec, gatewaySpec, proxyBundles, sidecarSpec, type ShopSettings } from '../up/processes.ts'
import { firstRequest } from '../up/first-request.ts'
import { gatewayWorkload, shopWorkloads, sidecarPorts, type ShopWorkload } from '../up/shop.ts'
import { Supervisor } from '../up/supervisor.ts'
import { LiveBlock, trafficTable } from '../up/traffic-table.ts'

export const usage = `weft up [--data DIR] [--engine weft|envoy] [--database URL] [--no-shop] [--ready-file FILE] [--port-base N] [--rate N]

Runs the whole system here: a control plane on an embedded database, a gateway, and the example shop, each workload behind a sidecar process of its own.
A second start on the same folder goes on from what is stored. Ctrl-C ends everything.
--rate: how many orders a second the shop's client makes, 20 unless told.`

const root = path.resolve(import.meta.dirname, '../..')
const organizationName = 'demo'
const meshName = 'shop'
/** Everything must be gone 5 s after the signal; the last of it is killed a second earlier. */
const graceMs = 4000
const readyTimeoutMs = 90_000
const tokenTtlMs = 3_600_000

export async function run(args: string[]): Promise<ExitCode> {
  const began = performance.now()
  const { values } = readArgs(
    args,
    {
      data: { type: 'string' },
      engine: { type: 'string' },
      database: { type: 'string' },
      'no-shop': { type: 'boolean' },
      'ready-file': { type: 'string' },
      'port-base': { type: 'string' },
      rate: { type: 'string' },
    },
    { min: 0, max: 0 },
  )
  const engine = values.engine ?? 'weft'
  if (engine !== 'weft' && engine !== 'envoy') throw new UsageError(`--engine: ${JSON.stringify(engine)} is neither weft nor envoy`)
  const base = values['port-base'] === undefined ? undefined : Number(values['port-base'])
  if (base !== undefined && !(Number.isInteger(base) && base >= 0 && base < 65_000)) throw new UsageError('--port-base: a port, or 0 for any free ones')
  const rate = Number(values.rate ?? 20)
  if (!(rate >= 0 && rate <= 10_000)) throw new UsageError('--rate: requests a second, 0..10000')
  const dir = path.resolve(values.data ?? '.weft')
  mkdirSync(path.join(dir, 'logs'), { recursive: true, mode: 0o700 })

  const say = (line: string): void => void process.stderr.write(`${styleText('dim', `· ${line}`)}\n`)
  const ended = untilSignal()
  const ports = await choosePorts(dir, base)
  say('preparing proxies and console')
  const bundles = proxyBundles(root)
  const consoleDir = path.join(root, 'dist/console')
  const consoleBuilt = buildConsole(consoleDir)
  say('starting the control plane')
  const logFile = createWriteStream(path.join(dir, 'logs', 'control-plane.log'), { flags: 'a', mode: 0o600 })
  const plane = await startControlPlane({
    doors: systemDoors,
    log: jsonLog((line) => logFile.write(line), () => Date.now(), 'info'),
    database: values.database ?? `pglite:${path.join(dir, 'db')}`,
    sealKey: sealKeyOf(dir),
    address: '127.0.0.1',
    restPort: ports.rest,
    xdsPort: ports.xds,
    monitoringPort: ports.monitoring,
    xdsNames: ['127.0.0.1', 'localhost'],
    consoleDir,
    sole: true,
  })
  const supervisor = new Supervisor(dir, systemDoors.clock, say)
  let code: ExitCode = exitCodes.done
  try {
    const organization = await plane.ensureOrganization(organizationName)
    const mesh = await plane.ensureMesh(organization, meshName, 'cluster.local')
    const context = await contextFor(plane, organization, dir, ports)
    const rootCertificate = path.join(dir, 'root.pem')
    writeFileSync(rootCertificate, plane.xds.rootCertificate)
    writeFileSync(path.join(dir, 'kubeconfig'), kubeconfigText(context.server, context.organization, context.mesh, context.apiKey), { mode: 0o600 })
    storeContext(context)
    await consoleBuilt

    const workloads = values['no-shop'] ? [] : shopWorkloads(ports)
    const settings: ShopSettings = { root, dir, ports, rate, envoy: engine === 'envoy' ? await installEnvoy() : undefined, rootCertificate, bundles: await bundles }
    const certificate = demoCertificate(dir, 'api.example.com')
    if (mesh.revision === 0 && workloads.length > 0) {
      say("applying the shop's configuration")
      await applyShop(context, certificate)
    }
    say(workloads.length > 0 ? 'starting the gateway and the shop' : 'starting the gateway')
    const pids = await startProcesses(supervisor, plane, mesh, settings, workloads)
    await supervisor.endLeftovers()
    const expected = [...workloads, gatewayWorkload].map((one) => `${one.name}.${one.namespace}`)
    await Promise.race([allSynced(plane, mesh.id, expected), ended])
    if (ended.signalled) return exitCodes.done
    const first = workloads.length > 0 ? await firstRequest(ports.gatewayHttps, certificate.caFile) : undefined
    const ready = readyDocument({ plane, context, dir, ports, rootCertificate, workloads, engine, pids })
    if (values['ready-file'] !== undefined) writeReady(values['ready-file'], ready)
    printWelcome(context, dir, ports, workloads, certificate.caFile, { firstStatus: first, seconds: (performance.now() - began) / 1000 })
    await showTraffic(plane, mesh.id, ended)
  } catch (error) {
    process.stderr.write(`weft up: ${error instanceof Error ? error.message : String(error)}\n`)
    code = exitCodes.failed
  } finally {
    say('ending')
    await supervisor.end(graceMs)
    await plane.close()
    logFile.end()
  }
  return code
}

/** Resolves at the first SIGINT or SIGTERM; a second one is not needed. */
function untilSignal(): Promise<void> & { signalled: boolean } {
  const waiting = Object.assign(
    new Promise<void>((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) {
        process.on(signal, () => {
          waiting.signalled = true
          resolve()
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
async function startProcesses(supervisor: Supervisor, plane: ControlPlane, mesh: Mesh, settings: ShopSettings, workloads: readonly ShopWorkload[]): Promise<Map<string, number>> {
  const pids = new Map<string, number>()
  const start = async (spec: Parameters<Supervisor['run']>[0]): Promise<void> => void pids.set(spec.name, (await supervisor.run(spec)).pid)
  const token = (of: { namespace: string; serviceAccount: string }) => plane.createJoinToken(mesh, of.namespace, of.serviceAccount, tokenTtlMs)
  await Promise.all([
    ...workloads.filter((workload) => workload.app !== 'client').map((workload) => start(appSpec(settings, workload))),
    ...workloads.map(async (workload) => start(sidecarSpec(settings, workload, await token(workload)))),
    token(gatewayWorkload).then((secret) => start(gatewaySpec(settings, secret))),
  ])
  // The client begins once its sidecar is there to be called.
  for (const workload of workloads) if (workload.app === 'client') await start(appSpec(settings, workload))
  return pids
}

/** Resolves when every expected proxy is connected and has acknowledged all that it was sent. */
async function allSynced(plane: ControlPlane, meshId: string, expected: readonly string[]): Promise<void> {
  const deadline = performance.now() + readyTimeoutMs
  for (;;) {
    const synced = new Set(
      plane
        .proxies(meshId)
        .filter((proxy) => proxy.types.length > 0 && proxy.types.every((type) => type.state === 'SYNCED' || type.state === 'NOT_SENT'))
        .map((proxy) => `${proxy.node.name}.${proxy.node.namespace}`),
    )
    const missing = expected.filter((name) => !synced.has(name))
    if (missing.length === 0) return
    if (performance.now() > deadline) throw new Error(`${missing.join(', ')} did not acknowledge a configuration within ${readyTimeoutMs / 1000} s`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function readyDocument(of: {
  plane: ControlPlane
  context: Context
  dir: string
  ports: Ports
  rootCertificate: string
  workloads: readonly ShopWorkload[]
  engine: string
  pids: ReadonlyMap<string, number>
}): unknown {
  const { plane, context, dir, ports } = of
  return {
    rest: context.server,
    apiKey: context.apiKey,
    organization: context.organization,
    mesh: context.mesh,
    kubeconfig: path.join(dir, 'kubeconfig'),
    pid: process.pid,
    xds: { address: `${plane.xds.address}:${plane.xds.port}`, rootCertificate: of.rootCertificate },
    gateway: { https: `127.0.0.1:${ports.gatewayHttps}`, http: `127.0.0.1:${ports.gatewayHttp}`, admin: `127.0.0.1:${ports.gatewayAdmin}` },
    workloads: of.workloads.map((workload) => ({
      name: workload.name,
      namespace: workload.namespace,
      serviceAccount: workload.serviceAccount,
      engine: of.engine,
      pid: of.pids.get(`${workload.name}-sidecar`),
      ...(workload.port === undefined ? {} : { app: `${workload.address}:${workload.port}`, inbound: `${workload.address}:${sidecarPorts.inbound}` }),
      outbound: `${workload.address}:${sidecarPorts.outbound}`,
      admin: `${workload.address}:${sidecarPorts.admin}`,
    })),
  }
}

function writeReady(file: string, document: unknown): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(document, undefined, 2)}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

function printWelcome(context: Context, dir: string, ports: Ports, workloads: readonly ShopWorkload[], caFile: string, first: { firstStatus: number | undefined; seconds: number }): void {
  const relative = (file: string): string => path.relative(process.cwd(), file) || file
  const row = (label: string, value: string): string => `  ${styleText('dim', label.padEnd(11))} ${value}`
  const lines = [
    '',
    styleText('bold', '  Weft is up.'),
    '',
    row('console', `${context.server}/#key=${context.apiKey}&mesh=${context.organization}/${context.mesh}`),
    row('REST', `${context.server}/api/v1`),
    row('API key', context.apiKey),
    row('gateway', `https://127.0.0.1:${ports.gatewayHttps} (api.example.com)`),
    row('data', `${relative(dir)} (logs in ${relative(path.join(dir, 'logs'))})`),
  ]
  if (workloads.length > 0) {
    lines.push(
      '',
      '  Try, in another terminal:',
      `    curl --resolve api.example.com:${ports.gatewayHttps}:127.0.0.1 --cacert ${relative(caFile)} https://api.example.com:${ports.gatewayHttps}/orders`,
      '    npm run -s weft -- apply -f examples/shop/release/3-half.yaml --wait',
      '    npm run -s weft -- explain --from client.prod POST http://payment-service:8080/api/pay',
    )
  }
  if (first.firstStatus !== undefined) lines.push('', `  First request through the gateway: ${first.firstStatus}, ${first.seconds.toFixed(1)} s after the start.`)
  process.stdout.write(`${lines.join('\n')}\n\n`)
}

/** A live table on a terminal; elsewhere silence. Ends with the signal. */
async function showTraffic(plane: ControlPlane, meshId: string, ended: Promise<void>): Promise<void> {
  if (!process.stdout.isTTY) return ended
  const block = new LiveBlock(process.stdout)
  const timer = setInterval(() => {
    void plane.topology(meshId).then((topology) => {
      if (topology.edges.length > 0) block.draw(trafficTable(topology))
    })
  }, 1000)
  await ended
  clearInterval(timer)
}

