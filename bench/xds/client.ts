import { benchNode, namespaces } from './mesh.ts'
import { DeltaClient, type Held } from './delta-client.ts'
import type { ClientOrder, ClientPoll, ClientSetup, ClientSums, OneMesh, ServerReady } from './messages.ts'
import { obeyOrders } from './process.ts'

/** Connections that are made at once: past a listener's queue the system answers without remembering, and resets some of them later. */
const CONNECTS_AT_ONCE = 128

/** A process with streams: it stands for its part of the proxies of the mesh, and its own cost counts for nothing. */
const setup = JSON.parse(process.argv[2] ?? '{}') as ClientSetup
let clients: { readonly index: number; client: DeltaClient }[] = []
let held: Held[] = []
let cpuAtMark = process.cpuUsage()

function clientOf(index: number, { server, engine }: { server: ServerReady; engine: string }, holds: Held = new Map()): DeltaClient {
  const leaf = server.tls?.leaves[index % namespaces]
  return new DeltaClient({
    url: `${server.tls ? 'https' : 'http'}://127.0.0.1:${server.port}`,
    tls: server.tls && leaf && { ca: server.tls.root, cert: leaf.certificate, key: leaf.privateKey },
    node: benchNode(index, engine),
    held: holds,
  })
}

async function connect(order: Extract<ClientOrder, { do: 'connect' }>): Promise<{ startNs: string }> {
  const startNs = String(process.hrtime.bigint())
  clients = []
  for (let index = setup.at; index < order.streams; index += setup.of) {
    clients.push({ index, client: clientOf(index, order, order.again ? held[clients.length] : undefined) })
    if (clients.length % CONNECTS_AT_ONCE === 0) await Promise.all(clients.slice(-CONNECTS_AT_ONCE).map(({ client }) => client.connected))
  }
  held = []
  return { startNs }
}

function reconnect(order: Extract<ClientOrder, { do: 'reconnect' }>): { startNs: string } | null {
  const one = clients.find(({ index }) => index === order.proxy)
  if (one === undefined) return null
  one.client.close()
  one.client = clientOf(one.index, order, one.client.held)
  // To say what it holds is the proxy's own time.
  return { startNs: String(one.client.connectsAtNs) }
}

function disconnect(): void {
  held = clients.map(({ client }) => client.held)
  for (const { client } of clients) client.close()
  clients = []
}

function mark(): void {
  for (const { client } of clients) client.mark()
  cpuAtMark = process.cpuUsage()
}

function poll(): ClientPoll {
  let last = 0n
  let configured = 0
  const broken = new Set<string>()
  for (const { client } of clients) {
    if (client.lastMessageNs > last) last = client.lastMessageNs
    if (client.isConfigured) configured += 1
    if (client.broken !== undefined) broken.add(client.broken)
  }
  return { quietMs: Number(process.hrtime.bigint() - last) / 1e6, configured, broken: [...broken] }
}

function collect(startNs: bigint, mesh: OneMesh | undefined): ClientSums {
  const of = mesh === undefined ? clients : clients.filter(({ index }) => index % mesh.of === mesh.at)
  const tallies = of.map(({ client }) => client.tally).filter((tally) => tally.messages > 0)
  const sum = (of: (tally: (typeof tallies)[number]) => number): number => tallies.reduce((total, tally) => total + of(tally), 0)
  const { user, system } = process.cpuUsage(cpuAtMark)
  return {
    concerned: tallies.length,
    bytesDown: sum((tally) => tally.bytesDown),
    bytesUp: sum((tally) => tally.bytesUp),
    messages: sum((tally) => tally.messages),
    resources: sum((tally) => tally.resources),
    firstByteMs: tallies.length === 0 ? null : tallies.reduce((least, tally) => Math.min(least, Number(tally.firstByteNs - startNs) / 1e6), Infinity),
    ackMs: tallies.map((tally) => Number(tally.lastAckNs - startNs) / 1e6),
    cpuSeconds: (user + system) / 1e6,
  }
}

obeyOrders<ClientOrder>((order) => {
  if (order.do === 'connect') return connect(order)
  if (order.do === 'reconnect') return reconnect(order)
  if (order.do === 'mark') mark()
  if (order.do === 'poll') return poll()
  if (order.do === 'collect') return collect(BigInt(order.startNs), order.mesh)
  if (order.do === 'disconnect') disconnect()
  if (order.do === 'exit') process.exit(0)
  return null
})
process.send?.('ready')
