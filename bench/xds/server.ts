import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { generateKeyPairSync } from 'node:crypto'
import { Session } from 'node:inspector/promises'
import { writeHeapSnapshot } from 'node:v8'
import { issue } from '#api/ca/certificate.ts'
import { makeRoot, readAuthority } from '#api/ca/root.ts'
import { serverCertificate } from '#api/ca/sign.ts'
import { MeshModel } from '#api/model/mesh-model.ts'
import type { Peer } from '#api/serve/peer.ts'
import { startXds } from '#api/serve/server.ts'
import { TrustStore } from '#api/serve/trust.ts'
import { MeshViews } from '#api/translate/view.ts'
import { inTurns, LongWork } from '#api/turns.ts'
import { parseSpiffeId } from '#core/identity/spiffe.ts'
import { systemDoors } from '#core/time/system.ts'
import type { Change } from '#db/store.ts'
import { BenchMesh, namespaces } from './mesh.ts'
import type { ChangeMade, ServerCost, ServerOrder, ServerPoll, ServerReady, ServerSetup } from './messages.ts'
import { obeyOrders } from './process.ts'

/** The process whose cost is measured: one mesh in memory, its views and the discovery server, and nothing else. */
const setup = JSON.parse(process.argv[2] ?? '{}') as ServerSetup
const MESH_ID = 'bench'
const { clock } = systemDoors
const longWork = new LongWork(clock)

function loadMesh(): { mesh: BenchMesh; views: MeshViews } {
  const mesh = new BenchMesh(setup.services)
  const views = new MeshViews(new MeshModel({ trustDomain: 'cluster.local' }))
  views.apply(mesh.whole(), mesh.revision)
  return { mesh, views }
}

const first = loadMesh()
const meshes = [first, ...Array.from({ length: setup.meshes - 1 }, loadMesh)]
/** Proxies are numbered by their names, `client-NUMBER`. */
const viewsOf = (name: string): MeshViews => (meshes[Number(name.slice(name.lastIndexOf('-') + 1)) % setup.meshes] ?? first).views
for (const made of setup.history) first.views.apply(changesOf(first.mesh, made), first.mesh.revision)

const credentials = setup.tls ? makeCredentials() : undefined
const xds = await startXds(
  {
    ...systemDoors,
    serve: {
      authenticate: async ({ certificate }): Promise<Peer> => ({
        organizationId: MESH_ID,
        meshId: MESH_ID,
        identity: certificate && parseSpiffeId(certificate.uri),
        how: certificate ? 'certificate' : 'plaintext-loopback',
        expiresAtMs: certificate?.notAfterMs ?? clock.wallMs() + 86_400_000,
      }),
      viewFor: async (peer, node) => viewsOf(node.name).viewInTurns(node, peer.identity, longWork.turns()),
      connected: () => {},
      disconnected: () => {},
    },
  },
  {
    memoryBytes: totalmem(),
    ...(credentials ? { tls: { address: '127.0.0.1', port: 0, trust: credentials.trust } } : { plaintext: { address: '127.0.0.1', port: 0 } }),
    note: (event, fields) => console.error(event, fields),
  },
)

/** How often a busy mesh changes. */
const busyMs = 5
let cpuAtStart = process.cpuUsage()
let longestTurnMs = 0

/** Looks at each turn of the event loop, and so keeps it turning. */
function watchTurns(): void {
  let before = process.threadCpuUsage()
  const look = (): void => {
    const { user, system } = process.threadCpuUsage(before)
    longestTurnMs = Math.max(longestTurnMs, (user + system) / 1000)
    before = process.threadCpuUsage()
    setImmediate(look)
  }
  setImmediate(look)
}
if (setup.turns) watchTurns()
let profiling: { session: Session; event: string } | undefined
let rssPeakMiB = 0

/** The system's own record of the most that was resident, reset at the start of each event where it can be. */
const peakMiB = (): number => {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) / 1024
  } catch {
    // Not Linux: what is resident now is the best there is.
    return Math.max(rssPeakMiB, process.memoryUsage.rss() / 1048576)
  }
}

async function begin(event: string): Promise<void> {
  if (setup.profileDir !== undefined && profiling?.event !== event) {
    await endProfile()
    const session = new Session()
    session.connect()
    await session.post('Profiler.enable')
    await session.post('Profiler.setSamplingInterval', { interval: 200 })
    await session.post('Profiler.start')
    profiling = { session, event }
  }
  longestTurnMs = 0
  cpuAtStart = process.cpuUsage()
}

/** All rounds of an event are in one profile. */
async function endProfile(): Promise<void> {
  if (profiling === undefined || setup.profileDir === undefined) return
  const { session, event } = profiling
  profiling = undefined
  const { profile } = await session.post('Profiler.stop')
  session.disconnect()
  mkdirSync(setup.profileDir, { recursive: true })
  writeFileSync(`${setup.profileDir}/${event}.cpuprofile`, JSON.stringify(profile))
}

function end(): ServerCost {
  const spent = process.cpuUsage(cpuAtStart)
  const { rss, heapUsed } = process.memoryUsage()
  rssPeakMiB = peakMiB()
  return { cpuSeconds: (spent.user + spent.system) / 1e6, rssMiB: rss / 1048576, heapMiB: heapUsed / 1048576, rssPeakMiB, longestTurnMs }
}

function changesOf(mesh: BenchMesh, { kind, round }: ChangeMade): Change[] {
  if (kind === 'weight') return mesh.weight(round)
  if (kind === 'endpoint') return mesh.endpoint(round)
  if (kind === 'service') return mesh.newService()
  return mesh.policy(round, kind === 'mesh-policy' ? 'mesh' : 'namespace')
}

async function change(order: Extract<ServerOrder, { do: 'change' }>): Promise<{ startNs: string }> {
  const { mesh, views } = meshes[order.mesh ?? 0] ?? first
  const changes = changesOf(mesh, order)
  const startNs = String(process.hrtime.bigint())
  await inTurns(views.applying(changes, mesh.revision))
  return { startNs }
}

let busy: NodeJS.Timeout | undefined
let busyRound = 0

function setBusy(on: boolean): void {
  clearInterval(busy)
  busy = on ? setInterval(() => first.views.apply(first.mesh.weight((busyRound += 1)), first.mesh.revision), busyMs) : undefined
}

function poll(): ServerPoll {
  let streams = 0
  let synced = 0
  for (const stream of xds.ledger.streamsOf(MESH_ID)) {
    streams += 1
    if (stream.unackedSince === undefined) synced += 1
  }
  return { streams, synced }
}

/** A root, the server's certificate, and one certificate for the proxies of each namespace. */
function makeCredentials(): { trust: TrustStore; tls: NonNullable<ServerReady['tls']> } {
  const nowMs = clock.wallMs()
  const root = makeRoot({ organization: 'bench', trustDomain: 'cluster.local', nowMs })
  const authority = readAuthority(root)
  const trust = new TrustStore(serverCertificate(authority, ['localhost', '127.0.0.1'], nowMs))
  trust.set(MESH_ID, root.certificate)
  const leaves = Array.from({ length: namespaces }, (_, at) => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const spki = publicKey.export({ type: 'spki', format: 'der' })
    const names = [{ kind: 'uri' as const, value: `spiffe://cluster.local/ns/ns-${at}/sa/default` }]
    const leaf = issue({ subject: [], publicKey: spki, names, notBeforeMs: nowMs - 60_000, notAfterMs: nowMs + 86_400_000, authority: false }, authority.signer)
    return { certificate: leaf + root.certificate, privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
  })
  return { trust, tls: { root: root.certificate, leaves } }
}

obeyOrders<ServerOrder>(async (order) => {
  if (order.do === 'begin') return begin(order.event)
  if (order.do === 'change') return change(order)
  if (order.do === 'busy') return setBusy(order.on)
  if (order.do === 'poll') return poll()
  if (order.do === 'end') return end()
  if (order.do === 'heap') return writeHeapSnapshot(order.file)
  await endProfile()
  return process.exit(0)
})
const ready: ServerReady = { port: xds.port, rssMiB: process.memoryUsage.rss() / 1048576, loadCpuSeconds: (process.cpuUsage().user + process.cpuUsage().system) / 1e6, tls: credentials?.tls }
process.send?.(ready)
