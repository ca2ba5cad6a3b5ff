import { benchNode, namespaces } from './mesh.ts'
import { DeltaClient, type Held } from './delta-client.ts'
import type { ClientFigures, ClientOrder, ClientPoll, OneMesh, ServerReady } from './messages.ts'
import { obeyOrders } from './process.ts'

/** The process with the streams: it stands for all proxies of the mesh, and its own cost counts for nothing. */
let clients: DeltaClient[] = []
let held: Held[] = []

function clientOf(index: number, { server, engine }: { server: ServerReady; engine: string }, holds: Held = new Map()): DeltaClient {
  const leaf = server.tls?.leaves[index % namespaces]
  return new DeltaClient({
    url: `${server.tls ? 'https' : 'http'}://127.0.0.1:${server.port}`,
    tls: server.tls && leaf && { ca: server.tls.root, cert: leaf.certificate, key: leaf.privateKey },
    node: benchNode(index, engine),
    held: holds,
  })
}

function connect(order: Extract<ClientOrder, { do: 'connect' }>): { startNs: string } {
  const startNs = String(process.hrtime.bigint())
  clients = Array.from({ length: order.streams }, (_, index) => clientOf(index, order, order.again ? held[index] : undefined))
  return { startNs }
}

function reconnect(order: Extract<ClientOrder, { do: 'reconnect' }>): { startNs: string } {
  const index = order.proxy % clients.length
  const before = clients[index]
  before?.close()
  const client = clientOf(index, order, before?.held)
  clients[index] = client
  // To say what it holds is the proxy's own time.
  return { startNs: String(client.connectsAtNs) }
}

function disconnect(): void {
  held = clients.map((client) => client.held)
  for (const client of clients) client.close()
  clients = []
}

function poll(): ClientPoll {
  let last = 0n
  let configured = 0
  const broken = new Set<string>()
  for (const client of clients) {
    if (client.lastMessageNs > last) last = client.lastMessageNs
    if (client.isConfigured) configured += 1
    if (client.broken !== undefined) broken.add(client.broken)
  }
  return { quietMs: Number(process.hrtime.bigint() - last) / 1e6, configured, broken: [...broken] }
}

function collect(startNs: bigint, mesh: OneMesh | undefined): ClientFigures {
  const of = mesh === undefined ? clients : clients.filter((_, index) => index % mesh.of === mesh.at)
  const tallies = of.map((client) => client.tally).filter((tally) => tally.messages > 0)
  const sum = (of: (tally: (typeof tallies)[number]) => number): number => tallies.reduce((total, tally) => total + of(tally), 0)
  const times = tallies.map((tally) => Number(tally.lastAckNs - startNs) / 1e6).sort((a, b) => a - b)
  const at = (share: number): number => times[Math.min(times.length - 1, Math.ceil(times.length * share) - 1)] ?? 0
  return {
    concerned: tallies.length,
    bytesDown: sum((tally) => tally.bytesDown),
    bytesUp: sum((tally) => tally.bytesUp),
    messages: sum((tally) => tally.messages),
    resources: sum((tally) => tally.resources),
    firstByteMs: tallies.reduce((least, tally) => Math.min(least, Number(tally.firstByteNs - startNs) / 1e6), Infinity),
    ackMs: { p50: at(0.5), p99: at(0.99), max: at(1) },
  }
}

obeyOrders<ClientOrder>((order) => {
  if (order.do === 'connect') return connect(order)
  if (order.do === 'reconnect') return reconnect(order)
  if (order.do === 'mark') for (const client of clients) client.mark()
  if (order.do === 'poll') return poll()
  if (order.do === 'collect') return collect(BigInt(order.startNs), order.mesh)
  if (order.do === 'disconnect') disconnect()
  if (order.do === 'exit') process.exit(0)
  return null
})
process.send?.('ready')
