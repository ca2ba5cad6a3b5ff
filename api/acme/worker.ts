import { X509Certificate } from 'node:crypto'
import { ACME_STATE, noOrder, orderMember, orderState } from '#api/model/acme.ts'
import type { OrderState } from '#api/model/acme.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import type { Random, Timer } from '#core/time/clock.ts'
import { type Store, StoreConflict } from '#db/store.ts'
import type { Log } from '../log.ts'
import type { LoadedMesh } from '../meshes.ts'
import { AcmeProblem } from './client.ts'
import { digestOf, dueNow, MANAGED } from './due.ts'
import { issueCertificate } from './issue.ts'
import type { IssueDoors } from './issue.ts'
import { OrderPace } from './order-pace.ts'
import { changeState, encoded, membersOf, readMembers, secretKey, type StoredSecret } from './state.ts'
import { wantedCertificates } from './wanted.ts'
import type { WantedCertificate } from './wanted.ts'

const LOOK_EVERY_MS = 10_000
/** What changes within this time is looked at together. */
const SOON_MS = 1000
/** A replica that has not finished by then is taken for gone. */
const LEASE_MS = 10 * 60_000
const BACKOFF_MS = 60_000
/** Whom we do not reach does not count our tries. */
const UNREACHABLE_MS = 15_000
const BACKOFF_MS_MAX = 24 * 3_600_000
/** Authorities count by the hour and by the week. */
const RATE_LIMITED_MS = 3_600_000
/** Of one mesh, by one replica. */
const ORDERS_OF_MESH = { atOnce: 2, perHour: 100 }

export interface AcmeDoors extends Omit<IssueDoors, 'signal'> {
  readonly store: Store
  readonly random: Random
  readonly log: Log
  /** The meshes in memory: those whose gateways are connected to this replica are among them. */
  readonly meshes: () => Iterable<LoadedMesh>
  /** Whether a gateway of the mesh is here, to answer what an authority asks. */
  readonly hasGateway: (meshId: string) => boolean
  /** This replica's name among others. */
  readonly holder: string
  /** The only directories that may be asked: who writes a Gateway must not make the control plane speak to any place. */
  readonly directories: readonly string[]
}

/** One mesh's turn: what is looked at, and whether to look again after. */
interface Turn {
  readonly pace: OrderPace
  running: Promise<void> | undefined
  again: boolean
  /** It was told that no more orders begin within this hour. */
  isHeld: boolean
}

/** Gets and renews the certificates that Gateways ask an authority for. Every mesh has a turn of its own, so that an authority which is slow for one holds none of the others. */
export class AcmeWorker {
  readonly #doors: AcmeDoors
  readonly #timer: Timer
  readonly #turns = new Map<string, Turn>()
  readonly #end = new AbortController()
  #soon: Timer | undefined

  constructor(doors: AcmeDoors) {
    this.#doors = doors
    this.#timer = doors.clock.every(LOOK_EVERY_MS, () => this.look())
  }

  get #closed(): boolean {
    return this.#end.signal.aborted
  }

  /** Something has changed. */
  soon(): void {
    if (this.#closed) return
    this.#soon ??= this.#doors.clock.after(SOON_MS, () => {
      this.#soon = undefined
      this.look()
    })
  }

  /** Something may be wanted now. */
  look(): void {
    if (this.#closed) return
    for (const mesh of this.#doors.meshes()) if (this.#doors.hasGateway(mesh.id)) this.#lookAt(mesh)
  }

  /** Orders that are under way are given up, and left to whoever looks next. */
  async close(): Promise<void> {
    this.#end.abort()
    this.#timer.cancel()
    this.#soon?.cancel()
    for (const turn of this.#turns.values()) {
      await turn.running
      await turn.pace.settled()
    }
  }

  #lookAt(mesh: LoadedMesh): void {
    let turn = this.#turns.get(mesh.id)
    if (turn === undefined) this.#turns.set(mesh.id, (turn = { pace: new OrderPace(ORDERS_OF_MESH), running: undefined, again: false, isHeld: false }))
    const mine = turn
    mine.again = true
    mine.running ??= this.#run(mesh, mine)
      .catch((error: unknown) => this.#doors.log.error('api.unexpected', { reason: error instanceof Error ? (error.stack ?? error.message) : String(error) }))
      .finally(() => {
        mine.running = undefined
      })
  }

  async #run(mesh: LoadedMesh, turn: Turn): Promise<void> {
    while (turn.again && !this.#closed) {
      turn.again = false
      for (const wanted of wantedCertificates(mesh.model.objects())) {
        await turn.pace.turn()
        if (this.#closed) break
        if (!this.#mayBegin(mesh, turn)) break
        // The database may be away: the next look comes soon enough.
        await this.#begin(mesh, wanted, turn).catch((error: unknown) => this.#warn(mesh, wanted, error))
      }
    }
  }

  #mayBegin(mesh: LoadedMesh, turn: Turn): boolean {
    const may = turn.pace.allows(this.#doors.clock.monotonicMs())
    if (!may && !turn.isHeld) this.#doors.log.warn('acme.held', { mesh: mesh.id, perHour: ORDERS_OF_MESH.perHour })
    turn.isHeld = !may
    return may
  }

  #warn(mesh: LoadedMesh, wanted: WantedCertificate, error: unknown): void {
    this.#doors.log.warn('acme.failed', { mesh: mesh.id, namespace: wanted.namespace, secret: wanted.credential, reason: wordsOf(error) })
  }

  /** Resolves when it is known whether there is anything to do; what is to do goes on beside. */
  async #begin(mesh: LoadedMesh, wanted: WantedCertificate, turn: Turn): Promise<void> {
    const { store, clock } = this.#doors
    const secret = await readMembers(store, mesh, wanted.namespace, wanted.credential)
    const order = orderState(await readMembers(store, mesh, wanted.namespace, ACME_STATE), wanted.credential)
    const due = dueNow(secret, order, wanted, clock.wallMs())
    if (due === 'keep') return
    if (!(await this.#claim(mesh, wanted))) return
    turn.pace.run(
      this.#serve(mesh, wanted, secret, due).catch((error: unknown) => this.#warn(mesh, wanted, error)),
      clock.monotonicMs(),
    )
  }

  async #serve(mesh: LoadedMesh, wanted: WantedCertificate, secret: StoredSecret | undefined, due: 'order' | 'foreign'): Promise<void> {
    const { log, directories } = this.#doors
    const about = { mesh: mesh.id, namespace: wanted.namespace, secret: wanted.credential, hosts: wanted.hosts, directory: wanted.directory }
    try {
      if (due === 'foreign') throw new AcmeProblem('conflict', `the Secret ${wanted.credential} holds what was not made here for ${wanted.hosts.join(', ')}; delete it to have a certificate ordered`)
      if (!directories.includes(wanted.directory)) throw new AcmeProblem('unsupported', `${wanted.directory} is none of the directories that this control plane may ask`)
      const { chain, privateKey } = await issueCertificate({ ...this.#doors, signal: this.#end.signal }, mesh, wanted)
      const expires = new X509Certificate(chain).validTo
      await this.#keep(mesh, wanted, secret, { 'tls.crt': chain, 'tls.key': privateKey })
      log.info('acme.issued', { ...about, expires })
    } catch (error) {
      // Somebody put a certificate there meanwhile, or this replica goes.
      if (error instanceof StoreConflict || this.#closed) return this.#settle(mesh, wanted, (order) => ({ ...order, holder: '', untilMs: 0 }))
      log.warn('acme.failed', { ...about, reason: wordsOf(error) })
      await this.#settle(mesh, wanted, (order) => this.#failed(order, error))
    }
  }

  /** The Secret as it was read, with a new certificate in it, and with it that this is what was made here. @throws StoreConflict when it is not as it was read */
  async #keep(mesh: LoadedMesh, wanted: WantedCertificate, secret: StoredSecret | undefined, certificate: { readonly 'tls.crt': string; readonly 'tls.key': string }): Promise<void> {
    const { namespace, credential, hosts } = wanted
    const { labels, annotations } = secret?.metadata ?? {}
    const object = {
      apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls',
      metadata: { name: credential, namespace, labels: { ...labels, [MANAGED]: 'weft' }, ...(annotations === undefined ? {} : { annotations }) },
      // Beside the certificate there may be what clients are verified with.
      data: encoded({ ...(secret === undefined ? {} : membersOf(secret)), ...certificate }),
    } as ResourceObject
    const order: OrderState = { ...noOrder, made: { sha256: digestOf(certificate['tls.crt']), hosts } }
    await changeState(this.#doors.store, mesh, namespace, `a certificate for ${hosts.join(', ')}`, () => ({ [orderMember(credential)]: JSON.stringify(order) }), { key: secretKey(namespace, credential), object, expectedVersion: secret?.version ?? '' })
  }

  /** True: the order is ours, until it is settled. */
  async #claim(mesh: LoadedMesh, wanted: WantedCertificate): Promise<boolean> {
    const nowMs = this.#doors.clock.wallMs()
    const revision = await changeState(this.#doors.store, mesh, wanted.namespace, `order a certificate for ${wanted.hosts.join(', ')}`, (state) => {
      const order = orderState(state, wanted.credential)
      if (order.retryAtMs > nowMs || (order.holder !== '' && order.untilMs > nowMs)) return undefined
      return { [orderMember(wanted.credential)]: JSON.stringify({ ...order, holder: this.#doors.holder, untilMs: nowMs + LEASE_MS }) }
    })
    return revision !== undefined
  }

  async #settle(mesh: LoadedMesh, wanted: WantedCertificate, next: (order: OrderState) => OrderState): Promise<void> {
    await changeState(this.#doors.store, mesh, wanted.namespace, `the order for ${wanted.credential} is settled`, (state) => ({ [orderMember(wanted.credential)]: JSON.stringify(next(orderState(state, wanted.credential))) }))
  }

  #failed({ failures: before, made }: OrderState, error: unknown): OrderState {
    const { clock, random } = this.#doors
    const failures = before + 1
    const problem = error instanceof AcmeProblem ? error : undefined
    const backoffMs = Math.min((problem?.kind === 'unreachable' ? UNREACHABLE_MS : BACKOFF_MS) * 2 ** (failures - 1), BACKOFF_MS_MAX) * (0.75 + 0.5 * random.draw())
    const waitMs = Math.max(backoffMs, problem?.retryAfterMs ?? 0, problem?.kind === 'rateLimited' ? RATE_LIMITED_MS : 0)
    return { ...noOrder, ...(made === undefined ? {} : { made }), failures, retryAtMs: Math.round(clock.wallMs() + waitMs), error: wordsOf(error).slice(0, 500) }
  }
}

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
