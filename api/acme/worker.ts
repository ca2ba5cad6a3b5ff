import { X509Certificate } from 'node:crypto'
import { noOrder, orderMember, orderState, secretText } from '#api/model/acme.ts'
import type { OrderState } from '#api/model/acme.ts'
import type { SecretFields } from '#core/resource/secret.ts'
import type { Random, Timer } from '#core/time/clock.ts'
import { type Store, StoreConflict } from '#db/store.ts'
import type { Log } from '../log.ts'
import type { LoadedMesh } from '../meshes.ts'
import { AcmeProblem } from './client.ts'
import { issueCertificate } from './issue.ts'
import type { IssueDoors } from './issue.ts'
import { changeState, readMembers, writeMembers } from './state.ts'
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
/** Marks Secrets that are ours to renew. */
const MANAGED = 'app.kubernetes.io/managed-by'

export interface AcmeDoors extends IssueDoors {
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

/** Gets and renews the certificates that Gateways ask an authority for, one order at a time. */
export class AcmeWorker {
  readonly #doors: AcmeDoors
  readonly #timer: Timer
  #running: Promise<void> | undefined
  #again = false
  #soon: Timer | undefined
  #closed = false

  constructor(doors: AcmeDoors) {
    this.#doors = doors
    this.#timer = doors.clock.every(LOOK_EVERY_MS, () => this.look())
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
    this.#again = true
    this.#running ??= this.#run()
      .catch((error: unknown) => this.#doors.log.error('api.unexpected', { reason: error instanceof Error ? (error.stack ?? error.message) : String(error) }))
      .finally(() => (this.#running = undefined))
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer.cancel()
    this.#soon?.cancel()
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false
      for (const mesh of [...this.#doors.meshes()]) {
        if (!this.#doors.hasGateway(mesh.id)) continue
        for (const wanted of wantedCertificates(mesh.model.objects())) {
          if (this.#closed) return
          // The database may be away: the next look comes soon enough.
          await this.#serve(mesh, wanted).catch((error: unknown) => this.#doors.log.warn('acme.failed', { mesh: mesh.id, namespace: wanted.namespace, secret: wanted.credential, reason: wordsOf(error) }))
        }
      }
    }
  }

  async #serve(mesh: LoadedMesh, wanted: WantedCertificate): Promise<void> {
    const { store, clock, log } = this.#doors
    const secret = await readMembers(store, mesh, wanted.namespace, wanted.credential)
    if (!isDue(secret, wanted, clock.wallMs())) return
    if (!(await this.#claim(mesh, wanted))) return
    const about = { mesh: mesh.id, namespace: wanted.namespace, secret: wanted.credential, hosts: wanted.hosts, directory: wanted.directory }
    try {
      if (!this.#doors.directories.includes(wanted.directory)) throw new AcmeProblem('unsupported', `${wanted.directory} is none of the directories that this control plane may ask`)
      const { chain, privateKey } = await issueCertificate(this.#doors, mesh, wanted)
      await writeMembers(store, mesh, { namespace: wanted.namespace, name: wanted.credential, type: 'kubernetes.io/tls', version: secret?.version ?? '' }, { 'tls.crt': chain, 'tls.key': privateKey }, `a certificate for ${wanted.hosts.join(', ')}`)
      await this.#settle(mesh, wanted, () => noOrder)
      log.info('acme.issued', { ...about, expires: new X509Certificate(chain).validTo })
    } catch (error) {
      // Somebody put a certificate there meanwhile.
      if (error instanceof StoreConflict) return this.#settle(mesh, wanted, () => noOrder)
      log.warn('acme.failed', { ...about, reason: wordsOf(error) })
      await this.#settle(mesh, wanted, ({ failures }) => this.#failed(failures + 1, error))
    }
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

  #failed(failures: number, error: unknown): OrderState {
    const { clock, random } = this.#doors
    const problem = error instanceof AcmeProblem ? error : undefined
    const backoffMs = Math.min((problem?.kind === 'unreachable' ? UNREACHABLE_MS : BACKOFF_MS) * 2 ** (failures - 1), BACKOFF_MS_MAX) * (0.75 + 0.5 * random.draw())
    const waitMs = Math.max(backoffMs, problem?.retryAfterMs ?? 0, problem?.kind === 'rateLimited' ? RATE_LIMITED_MS : 0)
    return { ...noOrder, failures, retryAtMs: Math.round(clock.wallMs() + waitMs), error: wordsOf(error).slice(0, 500) }
  }
}

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Not there yet, over two thirds of its life, or for other hosts; a Secret that somebody else keeps is never due. */
function isDue(secret: (SecretFields & { readonly metadata?: { readonly labels?: Readonly<Record<string, string>> } }) | undefined, wanted: WantedCertificate, nowMs: number): boolean {
  if (secret === undefined) return true
  if (secret.metadata?.labels?.[MANAGED] !== 'weft') return false
  const pem = secretText(secret, 'tls.crt')
  if (pem === undefined) return true
  try {
    const certificate = new X509Certificate(pem)
    const [fromMs, toMs] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)]
    const names = (certificate.subjectAltName ?? '').split(', ').map((name) => name.replace(/^DNS:/, '')).sort()
    return nowMs >= fromMs + ((toMs - fromMs) * 2) / 3 || names.join() !== wanted.hosts.join()
  } catch {
    // Whatever it is, it serves nobody.
    return true
  }
}
