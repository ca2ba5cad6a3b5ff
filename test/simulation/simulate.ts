import { SteppedClock, seededRandom } from '#core/time/seeded.ts'
import type { Random } from '#core/time/clock.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { jsonLog } from '#api/log.ts'
import { Meshes } from '#api/meshes.ts'
import { MeshModel } from '#api/model/mesh-model.ts'
import type { Change } from '#db/store.ts'
import { Answers } from '#api/serve/answers.ts'
import { Asks } from '#api/serve/asks.ts'
import { Holdings } from '#api/serve/holding.ts'
import { Ledger } from '#api/serve/ledger.ts'
import type { Peer } from '#api/serve/peer.ts'
import { Publisher } from '#api/serve/publisher.ts'
import { readRequest } from '#api/serve/request.ts'
import type { ResourceView } from '#api/serve/resource.ts'
import { Room } from '#api/serve/room.ts'
import { type StreamWatcher, XdsStream } from '#api/serve/stream.ts'
import { deleteChange, nodeFrom, putChange, storedFrom, workloadChange, workloadFrom } from '#api/translate/testing/mesh-case.ts'
import { MeshViews } from '#api/translate/view.ts'
import { CLUSTER_LOAD_ASSIGNMENT, ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import { FaultyStore } from './faulty-store.ts'
import { SimulatedProxy, simulatedTypes } from './proxy.ts'

const peer: Peer = { organizationId: 'o', meshId: 'm', identity: undefined, how: 'plaintext-loopback', expiresAtMs: Number.MAX_SAFE_INTEGER }
const lateMs = 30_000

/** One connection: what is under way in it is lost when it is cut. */
interface Link {
  readonly stream: XdsStream
  readonly up: Buffer[]
  readonly down: Buffer[]
  congested: boolean
}

interface Member {
  readonly proxy: SimulatedProxy
  readonly node: ReturnType<typeof nodeFrom>
  link: Link | undefined
  /** Its view is being made, or its mesh loaded for it. */
  isConnecting: boolean
}

/** What is not awaited has run: all that follows from one step, and nothing that waits for another. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/**
 * A whole control plane's way from commit to proxy in one process and one thread, everything by one seed: changes are committed, notices of them are late or lost, the store's reads are slow, fail, come
 * in pieces, or find the log cut; streams are cut and come back, messages wait, clients refuse, do not read, do not answer, the clock jumps. Then the faults end, and every proxy must hold exactly
 * what its scope says.
 * @throws Error that says how it does not
 */
export const simulate = (seed: number): Promise<void> => new Simulation(seed).run()

class Simulation {
  readonly #random: Random
  readonly #clock = new SteppedClock()
  readonly #store: FaultyStore
  readonly #meshes: Meshes
  readonly #tasks: (() => void)[] = []
  readonly #publisher: Publisher
  readonly #ledger: Ledger
  readonly #answers: Answers
  /** Small meshes here: what streams share in large ones is shared from the first name on. */
  readonly #holdings = new Holdings(this.#clock, { askBytesMin: 1, dueMin: 1, differencesMax: 2 })
  readonly #asks = new Asks(this.#clock, 1)
  readonly #watcher: StreamWatcher
  /** For one answer at a time, and every answer needs it. */
  readonly #room = new Room<XdsStream>(this.#clock, (stream) => this.#publisher.wake(stream, 'change'), { bytesMax: 1, muchMin: 1 })
  readonly #members: Member[]

  constructor(seed: number) {
    this.#random = seededRandom(seed)
    this.#store = new FaultyStore(this.#random, 'm')
    this.#meshes = new Meshes(this.#store, this.#clock, jsonLog(() => {}, () => 0, 'error'), 1)
    this.#publisher = new Publisher(this.#clock, (run) => this.#tasks.push(run))
    this.#ledger = new Ledger(this.#clock)
    this.#meshes.onChanges = (mesh, from, heardAtMs) => this.#ledger.pushes.begins(mesh.id, from, heardAtMs)
    this.#meshes.onRevision = (mesh) => this.#ledger.advanced(mesh.id)
    this.#answers = new Answers(this.#clock)
    this.#watcher = {
      wake: (stream, urgency) => this.#publisher.wake(stream, urgency),
      progressed: (stream) => this.#ledger.progressed(stream),
      rejected: (stream, type, rejection) => this.#ledger.rejected(stream, type, rejection),
      concerned: (stream, revision) => this.#ledger.pushes.concerns(stream, revision),
      sent() {},
      note() {},
    }
    this.#members = Array.from({ length: 2 + this.#below(3) }, (_, at) => {
      const proxy = new SimulatedProxy(this.#below(3) === 0 ? 'sotw' : 'delta', this.#random)
      proxy.nackShare = this.#below(3) === 0 ? 0.1 : 0
      const node = { ...nodeFrom({ name: `p${at}`, namespace: at % 2 === 0 ? 'prod' : 'other', outbound: '127.0.0.1:15001' }), engine: this.#below(2) === 0 ? 'envoy' : 'weft' }
      return { proxy, node, link: undefined, isConnecting: false }
    })
  }

  async run(): Promise<void> {
    try {
      for (let step = 0; step < 120; step += 1) {
        this.#step()
        await settled()
      }
      await this.#heal()
      for (const member of this.#members) this.#judge(member)
    } finally {
      this.#meshes.close()
    }
  }

  #below(limit: number): number {
    return Math.floor(this.#random.draw() * limit)
  }

  #pick<T>(from: readonly T[]): T {
    const picked = from[this.#below(from.length)]
    if (picked === undefined) throw new Error('nothing to pick from')
    return picked
  }

  #step(): void {
    const what = this.#below(100)
    const member = this.#pick(this.#members)
    if (what < 12) this.#commit()
    else if (what < 22) this.#stir()
    else if (what < 30) this.#connect(member)
    else if (what < 33) this.#cut(member)
    else if (what < 55) this.#deliverUp(member)
    else if (what < 77) this.#deliverDown(member)
    else if (what < 90) this.#runTasks(1 + this.#below(3))
    else if (what < 93 && member.link) member.link.congested = true
    else if (what < 96) this.#relieve(member)
    else this.#clock.advance(this.#pick([1, 50, 400, 1100, 12_000, 45_000]))
    for (const stream of this.#ledger.streams()) if (what >= 96) stream.resyncLate(lateMs)
  }

  /** A random edit of a handful of objects and workloads that lean on each other. Who is told that it failed may have written it all the same, and writes again. */
  #commit(): void {
    const change = this.#edit(this.#store.revision + 1)
    const outcome = this.#below(10)
    if (outcome > 0) this.#store.commit(change)
    if (outcome === 1) this.#store.commit({ ...change, revision: change.revision + 1 })
  }

  /** The store moves: a read ends, one way or the other, a notice comes, somebody looks, or the log is cut. */
  #stir(): void {
    const what = this.#below(20)
    if (what < 9) this.#store.endRead('answer')
    else if (what < 12) this.#store.endRead('fail')
    else if (what < 17) this.#store.notify()
    else if (what < 19) this.#store.poll()
    else this.#store.cutLog()
  }

  #edit(revision: number): Change {
    const name = this.#pick(['a', 'b', 'c'])
    const object = (apiVersion: string, kind: string, of: string, spec: object): ResourceObject => ({ apiVersion, kind, metadata: { name: of, namespace: 'prod', creationTimestamp: '2026-01-01T00:00:00Z' }, spec })
    const put = (made: ResourceObject): Change => (this.#below(4) === 0 ? deleteChange(storedFrom(made, revision), revision) : putChange(storedFrom(made, revision)))
    switch (this.#below(4)) {
      case 0:
        return put(object('v1', 'Service', name, { selector: { app: name }, ports: [{ name: 'http', port: this.#pick([80, 81]), targetPort: 8080 }] }))
      case 1:
        return put(object('networking.istio.io/v1', 'VirtualService', name, { hosts: [name], http: [{ timeout: `${1 + this.#below(5)}s`, route: [{ destination: { host: name, subset: 'v1' }, weight: 50 }, { destination: { host: this.#pick(['a', 'b', 'c']) }, weight: 50 }] }] }))
      case 2:
        return put(object('networking.istio.io/v1', 'DestinationRule', name, { host: name, ...(this.#below(3) === 0 ? { exportTo: ['.'] } : {}), subsets: [{ name: 'v1', labels: { version: 'v1' } }], trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 + this.#below(3) } } } }))
      default: {
        const workload = workloadFrom({ name: `${name}-${this.#below(2)}`, namespace: 'prod', labels: { app: name, version: this.#pick(['v1', 'v2']) }, address: `10.0.0.${this.#below(4)}`, ports: [{ port: 8080, name: 'http' }] })
        return this.#below(3) === 0 ? { revision, of: 'workload', namespace: workload.namespace, name: workload.name, workload: undefined } : workloadChange(workload, revision)
      }
    }
  }

  #connect(member: Member): void {
    if (member.link !== undefined || member.isConnecting) return
    member.isConnecting = true
    this.#meshes
      .viewFor('m', member.node, undefined)
      .then(
        (view) => (member.link = this.#linked(member, view)),
        // The mesh could not be read: the stream ends, and the proxy comes again.
        () => undefined,
      )
      .finally(() => (member.isConnecting = false))
  }

  #linked(member: Member, view: ResourceView): Link {
    const up: Buffer[] = []
    const down: Buffer[] = []
    const channel = {
      write: (message: Buffer): boolean => {
        down.push(message)
        return !link.congested
      },
      cork: () => {},
      uncork: () => {},
    }
    const stream = new XdsStream({ clock: this.#clock, watcher: this.#watcher, channel, answers: this.#answers, holdings: this.#holdings, room: this.#room }, { peer, node: member.node, protocol: member.proxy.protocol, view })
    const link: Link = { stream, up, down, congested: false }
    this.#ledger.add(stream)
    member.proxy.connect((request) => up.push(request))
    return link
  }

  #cut(member: Member): void {
    const { link } = member
    if (!link) return
    member.link = undefined
    member.proxy.disconnect()
    link.stream.close()
    this.#publisher.forget(link.stream)
    this.#ledger.remove(link.stream, this.#below(2) === 0 ? 'clean' : 'lost')
  }

  #deliverUp({ link, proxy }: Member): void {
    const request = link?.up.shift()
    if (link && request) link.stream.request(readRequest(proxy.protocol, request, this.#asks))
  }

  #deliverDown({ link, proxy }: Member): void {
    const response = link?.down.shift()
    if (response) proxy.receive(response)
  }

  #relieve({ link }: Member): void {
    if (!link?.congested) return
    link.congested = false
    link.stream.drained()
  }

  #runTasks(count: number): void {
    for (let ran = 0; ran < count; ran += 1) this.#tasks.shift()?.()
  }

  /** The faults are over: whoever refused comes back and refuses no more, everything under way arrives. */
  async #heal(): Promise<void> {
    for (const member of this.#members) {
      member.proxy.nackShare = 0
      if (member.proxy.refusals > 0) this.#cut(member)
      this.#relieve(member)
    }
    for (let round = 0; round < 400; round += 1) {
      this.#store.poll()
      let moved = this.#store.endRead('answer') || this.#tasks.length > 0
      this.#runTasks(this.#tasks.length)
      for (const member of this.#members) this.#connect(member)
      await settled()
      for (const member of this.#members) {
        if (member.link === undefined) {
          moved = true
          continue
        }
        moved ||= member.link.up.length + member.link.down.length > 0
        while (member.link.up.length > 0) this.#deliverUp(member)
        while (member.link.down.length > 0) this.#deliverDown(member)
      }
      // What waits for its time: removals, held routes.
      if (!moved) {
        if (this.#members.every((member) => member.link?.stream.unackedSince === undefined) && this.#meshes.loaded('m')?.model.revision === this.#store.revision && this.#meshes.loaded('m')?.views.isTold === true) return
        this.#clock.advance(1100)
      }
    }
    throw new Error(`it does not come to rest: the mesh is at ${this.#meshes.loaded('m')?.model.revision} of ${this.#store.revision}; ${this.#members.map(({ link, node, proxy }) => `${node.name} (${proxy.protocol}) ${JSON.stringify(link?.stream.status().types.map((one) => [one.type.slice(one.type.lastIndexOf('.') + 1), one.state]))} unacked since ${link?.stream.unackedSince}`).join('; ')}`)
  }

  #judge({ link, proxy, node }: Member): void {
    if (!link) throw new Error('a proxy without a stream')
    // A mesh of its own, made from nothing: neither the stream's view nor what was incremental in it is believed.
    const view = this.#afresh().viewFor(node, undefined)
    for (const type of simulatedTypes) {
      const expected = new Map<string, string>()
      if (type === CLUSTER_LOAD_ASSIGNMENT || type === ROUTE_CONFIGURATION) {
        for (const name of proxy.names(type)) {
          const one = view.get(type, name) ?? view.placeholder(type, name)
          if (one) expected.set(name, one.version)
        }
      } else for (const one of view.list(type)) expected.set(one.name, one.version)
      const held = proxy.held(type)
      const wrong = [...new Set([...expected.keys(), ...held.keys()])].filter((name) => expected.get(name) !== held.get(name))
      if (wrong.length > 0) throw new Error(`${node.name} (${proxy.protocol}, ${node.engine}) differs in ${type.slice(type.lastIndexOf('.') + 1)}: ${wrong.map((name) => `${name} is ${held.get(name) ?? 'not there'}, not ${expected.get(name) ?? 'absent'}`).join('; ')}`)
    }
    const status = link.stream.status()
    const unsettled = status.types.filter((one) => one.state !== 'SYNCED' && one.state !== 'NOT_SENT')
    if (unsettled.length > 0 || link.stream.syncedRevision < this.#store.revision) throw new Error(`${node.name} holds all and is said to be ${unsettled.map((one) => `${one.state} in ${one.type}`).join(', ')}, at ${link.stream.syncedRevision} of ${this.#store.revision}`)
    view.release()
  }

  /** What a replica that starts now makes of the store's rows. */
  #afresh(): MeshViews {
    const model = new MeshModel({ trustDomain: 'cluster.local', settings: {} })
    const views = new MeshViews(model)
    const { revision, resources, workloads } = this.#store.rows
    views.apply([...resources.map((stored) => putChange(stored)), ...workloads.map((workload) => workloadChange(workload, revision))], revision)
    return views
  }
}
