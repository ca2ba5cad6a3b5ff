import { mkdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { Clients } from './xds/clients.ts'
import { BenchProcess } from './xds/process.ts'
import type { ChangeKind, ChangeMade, ClientFigures, ServerCost, ServerOrder, ServerPoll, ServerReady, ServerSetup } from './xds/messages.ts'
import { type EventFigures, eventFigures, growthTable, IDLE_SECONDS, type SizeFigures, sizeTable, startLine } from './xds/report.ts'
import { measureStart } from './xds/start.ts'

const changeKinds: readonly ChangeKind[] = ['weight', 'endpoint', 'service', 'namespace-policy', 'mesh-policy']
/** Beside the changes: the usual ones, and those that are asked for. */
const usualEvents: readonly string[] = ['connect', ...changeKinds, 'restart']
/** Of one proxy that comes back: what others brought and were sent is remembered for ten seconds. */
const RECONNECTS: Readonly<Record<string, number>> = { reconnect: 0, 'reconnect-later': 12_000 }
const events: readonly string[] = [...usualEvents, 'idle', ...Object.keys(RECONNECTS), 'tenants', 'start']

const usage = `npm run bench -- xds [options]
  --services 100,1000   sizes of mesh, one run each
  --meshes 1            tenants in one process, each with so many services; proxies are spread over them
  --streams 100         proxies; one number, or one for each size
  --events weight,…     ${usualEvents.join(', ')}; connect always comes first. Only when they are asked for:
                        idle       ten seconds in which nothing happens: CPU a tenant and a stream
                        reconnect  one proxy comes back with what it holds: first byte
                        reconnect-later  the same after twelve quiet seconds, when nothing of what others brought is remembered
                        start      a server's process begins, on a Postgres that holds the mesh: until the first proxy is configured
                        tenants    a weight in the second mesh, alone and while the first changes every 5 ms (--meshes)
  --turns               the longest turn of the event loop in each event, by CPU; spoils the other CPU figures
  --repeat 10           times that each change is made
  --quick               100 and 1,000 services, 20 streams, each change three times
  --clients N           processes with streams; one for 2,500 of them unless told
  --limit 300           seconds that an event may take
  --tls                 mutual TLS instead of plaintext
  --engine weft         what the proxies say they are: weft or envoy
  --profile DIR         a .cpuprofile for each event, and a heap snapshot with all connected
  -o json               figures as JSON`

/** After so long without a message, and with nothing owed by either side, an event is over. */
const QUIET_MS = 150
const POLL_MS = 50

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

interface Options {
  readonly events: readonly string[]
  readonly repeat: number
  readonly tls: boolean
  readonly turns: boolean
  readonly engine: string
  readonly profile: string | undefined
  readonly limitMs: number
  readonly meshes: number
  readonly clients: number | undefined
}

/** Streams that one process stands for. */
const STREAMS_A_CLIENT = 2500

/** Cost of the control plane: changes in meshes of several sizes, seen by streams of another process. */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      services: { type: 'string', default: '100,1000' },
      meshes: { type: 'string', default: '1' },
      streams: { type: 'string' },
      events: { type: 'string', default: usualEvents.join(',') },
      repeat: { type: 'string' },
      quick: { type: 'boolean', default: false },
      tls: { type: 'boolean', default: false },
      clients: { type: 'string' },
      turns: { type: 'boolean', default: false },
      engine: { type: 'string', default: 'weft' },
      profile: { type: 'string' },
      limit: { type: 'string', default: '300' },
      output: { type: 'string', short: 'o', default: 'table' },
      help: { type: 'boolean', default: false },
    },
  })
  const sizes = values.services.split(',').map(Number)
  const streams = (values.streams ?? (values.quick ? '20' : '100')).split(',').map(Number)
  const wanted = values.events.split(',')
  const unknown = wanted.filter((one) => !events.includes(one))
  if (values.help || !(Number(values.meshes) > 0) || unknown.length > 0 || [...sizes, ...streams].some((one) => !(one > 0))) {
    console.error(unknown.length > 0 ? `no such event: ${unknown.join(', ')}\n${usage}` : usage)
    if (!values.help) process.exitCode = 2
    return
  }
  const options: Options = {
    events: wanted,
    repeat: Number(values.repeat ?? (values.quick ? 3 : 10)),
    tls: values.tls,
    turns: values.turns,
    engine: values.engine,
    profile: values.profile,
    limitMs: Number(values.limit) * 1000,
    meshes: Number(values.meshes),
    clients: values.clients === undefined ? undefined : Number(values.clients),
  }
  if (wanted.includes('start')) for (const services of sizes) console.log(startLine(services, await measureStart(services, options.repeat)))
  if (wanted.every((one) => one === 'start')) return
  const all: SizeFigures[] = []
  for (const [at, services] of sizes.entries()) {
    const figures = await measure(services, streams[at] ?? streams[0] ?? 100, options)
    all.push(figures)
    if (values.output !== 'json') console.log(sizeTable(figures))
  }
  if (values.output === 'json') console.log(JSON.stringify(all, undefined, 2))
  else if (all.length > 1) console.log(growthTable(all))
}

async function measure(services: number, streams: number, options: Options): Promise<SizeFigures> {
  const profileDir = options.profile && `${options.profile}/${services}x${streams}`
  if (profileDir !== undefined) mkdirSync(profileDir, { recursive: true })
  const history: ChangeMade[] = []
  const startServer = (): BenchProcess<ServerOrder> => {
    const setup: ServerSetup = { services, meshes: options.meshes, tls: options.tls, turns: options.turns, profileDir, history }
    return new BenchProcess<ServerOrder>('./server.ts', setup)
  }
  let server = startServer()
  const clients = new Clients(options.clients ?? Math.ceil(streams / STREAMS_A_CLIENT))
  try {
    let [ready] = await Promise.all([server.ready<ServerReady>(), clients.ready()])
    const { loadCpuSeconds, rssMiB: rssLoadedMiB } = ready
    let run = new Run(server, clients, { streams, options })
    const figures: EventFigures[] = [eventFigures('connect', [await run.connect(ready, false)])]
    if (profileDir !== undefined) await server.ask({ do: 'heap', file: `${profileDir}/connected.heapsnapshot` })
    for (const kind of changeKinds) {
      if (!options.events.includes(kind)) continue
      const rounds: Measured[] = []
      for (let round = 0; round <= options.repeat; round += 1) {
        rounds.push(await run.change(kind, round))
        history.push({ kind, round })
      }
      // The first of each warms the code up and is not counted.
      figures.push(eventFigures(kind, rounds.slice(1)))
    }
    if (options.events.includes('idle')) figures.push(eventFigures('idle', [await run.idle()]))
    for (const [event, quietMs] of Object.entries(RECONNECTS)) {
      if (!options.events.includes(event)) continue
      const rounds: Measured[] = []
      for (let round = 0; round <= options.repeat; round += 1) {
        await sleep(quietMs)
        rounds.push(await run.reconnect(event, ready, round))
      }
      figures.push(eventFigures(event, rounds.slice(1)))
    }
    if (options.events.includes('restart')) {
      await clients.disconnect()
      await server.end({ do: 'exit' })
      server = startServer()
      run = new Run(server, clients, { streams, options })
      ready = await server.ready<ServerReady>()
      figures.push(eventFigures('restart', [await run.connect(ready, true)]))
    }
    // Last, for what a busy mesh became is not what it is after a restart.
    if (options.events.includes('tenants') && options.meshes > 1) {
      const alone: Measured[] = []
      const beside: Measured[] = []
      for (let round = 0; round <= options.repeat; round += 1) {
        alone.push(await run.quietTenant(2 * round, false))
        beside.push(await run.quietTenant(2 * round + 1, true))
      }
      figures.push(eventFigures('tenant-alone', alone.slice(1)), eventFigures('tenant-beside-busy', beside.slice(1)))
    }
    return { services, streams, tls: options.tls, meshes: options.meshes, loadCpuSeconds, rssLoadedMiB, events: figures }
  } finally {
    await clients.end()
    await server.end({ do: 'exit' }).catch(() => server.kill())
  }
}

export interface Measured {
  readonly cost: ServerCost
  readonly seen: ClientFigures
  readonly configured: number
}

/** Events of one server and its clients, one after the other. */
class Run {
  readonly #server: BenchProcess<ServerOrder>
  readonly #clients: Clients
  readonly #streams: number
  readonly #options: Options

  constructor(server: BenchProcess<ServerOrder>, clients: Clients, of: { streams: number; options: Options }) {
    this.#server = server
    this.#clients = clients
    this.#streams = of.streams
    this.#options = of.options
  }

  async connect(ready: ServerReady, again: boolean): Promise<Measured> {
    const { engine } = this.#options
    return this.#event(again ? 'restart' : 'connect', () => this.#clients.connect(ready, { streams: this.#streams, engine, again }))
  }

  async change(kind: ChangeKind, round: number): Promise<Measured> {
    return this.#event(kind, () => this.#server.ask({ do: 'change', kind, round }))
  }

  async reconnect(event: string, ready: ServerReady, round: number): Promise<Measured> {
    const { engine } = this.#options
    return this.#event(event, () => this.#clients.reconnect(ready, round % this.#streams, engine))
  }

  async idle(): Promise<Measured> {
    return this.#event('idle', async () => {
      await sleep(IDLE_SECONDS * 1000)
      return { startNs: '0' }
    })
  }

  /** A weight in the second mesh, until all of its proxies have acknowledged it. */
  async quietTenant(round: number, isBesideBusy: boolean): Promise<Measured> {
    const mesh = { at: 1, of: this.#options.meshes }
    const proxies = Math.ceil((this.#streams - mesh.at) / mesh.of)
    await this.#server.ask({ do: 'busy', on: isBesideBusy })
    if (isBesideBusy) await sleep(POLL_MS)
    await this.#clients.mark()
    await this.#server.ask({ do: 'begin', event: 'tenants' })
    const { startNs } = await this.#server.ask<{ startNs: string }>({ do: 'change', kind: 'weight', round, mesh: mesh.at })
    const endsAt = performance.now() + this.#options.limitMs
    let seen = await this.#clients.collect(startNs, mesh)
    while (seen.concerned < proxies && performance.now() < endsAt) {
      await sleep(POLL_MS)
      seen = await this.#clients.collect(startNs, mesh)
    }
    const cost = await this.#server.ask<ServerCost>({ do: 'end' })
    await this.#server.ask({ do: 'busy', on: false })
    await this.#settled('tenants')
    return { cost, seen, configured: seen.concerned }
  }

  async #event(event: string, start: () => Promise<{ startNs: string }>): Promise<Measured> {
    await this.#clients.mark()
    await this.#server.ask({ do: 'begin', event })
    const { startNs } = await start()
    const configured = await this.#settled(event)
    const cost = await this.#server.ask<ServerCost>({ do: 'end' })
    const seen = await this.#clients.collect(startNs)
    return { cost, seen, configured }
  }

  /** Resolves when every stream has all it asked for, owes nothing, is owed nothing, and has been silent for a moment; answers how many streams are configured. */
  async #settled(event: string): Promise<number> {
    const endsAt = performance.now() + this.#options.limitMs
    for (;;) {
      await sleep(POLL_MS)
      const seen = await this.#clients.poll()
      if (seen.broken.length > 0) throw new Error(`streams broke during ${event}: ${seen.broken.join('; ')}`)
      const over = performance.now() > endsAt
      if (over || (seen.configured === this.#streams && seen.quietMs > QUIET_MS)) {
        const { streams, synced } = await this.#server.ask<ServerPoll>({ do: 'poll' })
        if (over || (streams === this.#streams && synced === streams)) return seen.configured
      }
    }
  }
}
