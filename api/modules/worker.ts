import { askedOf, isAsked, moduleState } from '#api/model/modules.ts'
import type { ModuleState } from '#api/model/modules.ts'
import { pullSecretOf, wantedModules, type WantedModule } from '#api/model/wanted-modules.ts'
import type { ConfigMapFields } from '#core/resource/config-map.ts'
import type { Clock, Random, Timer } from '#core/time/clock.ts'
import type { Store } from '#db/store.ts'
import type { Log } from '../log.ts'
import type { LoadedMesh } from '../meshes.ts'
import { HeldModules } from './held-modules.ts'
import { ModuleProblem } from './problem.ts'
import { pull, pullAgain, type Pulled } from './pull.ts'
import { credentialsFor, type Credentials } from './pull-secret.ts'
import { changeState } from './state.ts'

const LOOK_EVERY_MS = 10_000
/** What changes within this time is looked at together. */
const SOON_MS = 50
/** All of one pull: challenges, manifests and the layer. */
const PULL_WITHIN_MS = 60_000
const BACKOFF_MS = 2000
const BACKOFF_MS_MAX = 10 * 60_000
/** Each may hold a layer and its module. */
const PULLS_AT_ONCE = { inAll: 8, ofOrganization: 2 }
const ERROR_MAX = 500

export interface ModuleDoors {
  readonly store: Pick<Store, 'getResource' | 'applyResources'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** The meshes in memory. */
  readonly meshes: () => Iterable<LoadedMesh>
  /** One of them, which is loaded where it is not yet. */
  readonly mesh: (meshId: string) => Promise<LoadedMesh | undefined>
  /** Modules may be had from private networks, and over HTTP. */
  readonly privateNetworks: boolean
}

interface Failure {
  /** What was tried. */
  readonly try: string
  readonly count: number
  readonly retryAtMs: number
}

/**
 * Has the modules that plugins name by image or URL, and tells what became of each in the mesh's configuration, from where translation takes it. What two replicas find at once, the first one writes.
 * An organization's pulls are bounded in number, so that registries which are slow for one hold up none of the others.
 */
export class ModuleWorker {
  readonly #doors: ModuleDoors
  readonly #held = new HeldModules()
  readonly #timer: Timer
  readonly #end = new AbortController()
  readonly #failures = new Map<string, Failure>()
  /** Pulls under way by what they are for, and how many each organization has. */
  readonly #running = new Map<string, Promise<unknown>>()
  readonly #atOnce = new Map<string, number>()
  /** What became of pulls is being written down. */
  readonly #settling = new Set<Promise<void>>()
  #soon: Timer | undefined

  constructor(doors: ModuleDoors) {
    this.#doors = doors
    this.#timer = doors.clock.every(LOOK_EVERY_MS, () => this.look())
  }

  /** Something has changed. */
  soon(afterMs = SOON_MS): void {
    if (this.#end.signal.aborted) return
    this.#soon ??= this.#doors.clock.after(afterMs, () => {
      this.#soon = undefined
      this.look()
    })
  }

  /** Something may be wanted now. */
  look(): void {
    if (this.#end.signal.aborted) return
    const seen = new Set<string>()
    for (const mesh of this.#doors.meshes()) {
      for (const wanted of wantedModules(mesh.model)) {
        seen.add(keyOf(mesh, wanted))
        this.#consider(mesh, wanted)
      }
    }
    for (const key of this.#failures.keys()) if (!seen.has(key)) this.#failures.delete(key)
  }

  /**
   * The bytes of a module that an object of the mesh has now; undefined where it has none of that digest.
   * @throws ModuleProblem where it is not at hand, and cannot be had again
   */
  async bytesOf(meshId: string, namespace: string, member: string, sha256: string): Promise<Buffer | undefined> {
    const mesh = await this.#doors.mesh(meshId)
    if (mesh === undefined) return undefined
    for (const wanted of wantedModules(mesh.model)) {
      if (wanted.namespace !== namespace || wanted.member !== member || wanted.state?.sha256 !== sha256) continue
      const held = this.#held.get(meshId, sha256)
      const { origin } = wanted.state
      if (held !== undefined || origin === undefined) return held
      const key = `${meshId}/${sha256}`
      const running = this.#running.get(key) ?? this.#run(key, mesh, (signal) => pullAgain(origin, sha256, this.#credentials(mesh, wanted), { privateNetworks: this.#doors.privateNetworks, signal }))
      if (running === undefined) throw new ModuleProblem('too much is fetched already')
      return ((await running) as Pulled).bytes
    }
    return undefined
  }

  /** What is under way is given up, and left to whoever looks next. */
  async close(): Promise<void> {
    this.#end.abort()
    this.#timer.cancel()
    this.#soon?.cancel()
    await Promise.allSettled(this.#running.values())
    await Promise.all(this.#settling)
  }

  #consider(mesh: LoadedMesh, wanted: WantedModule): void {
    const { clock, log } = this.#doors
    const key = keyOf(mesh, wanted)
    if (!wanted.isAsked) {
      this.#failures.delete(key)
      return
    }
    const failure = this.#failures.get(key)
    if (this.#running.has(key) || (failure?.try === wanted.try && failure.retryAtMs > clock.monotonicMs())) return
    const running = this.#run(key, mesh, (signal) => pull(wanted.module, this.#credentials(mesh, wanted), { privateNetworks: this.#doors.privateNetworks, signal }))
    if (running === undefined) return
    const settling = running
      .then(
        (pulled) => this.#had(mesh, wanted, pulled),
        (error: unknown) => this.#failed(mesh, wanted, error),
      )
      // The database may be away: it is tried again like any other failure.
      .catch((error: unknown) => {
        log.warn('modules.unwritten', { mesh: mesh.id, object: wanted.id, reason: wordsOf(error) })
        this.#later(key, wanted)
      })
      .finally(() => this.#settling.delete(settling))
    this.#settling.add(settling)
  }

  /** Undefined: as many run as may, and the next look comes when one has ended. */
  #run(key: string, mesh: LoadedMesh, work: (signal: AbortSignal) => Promise<Pulled>): Promise<Pulled> | undefined {
    const { organizationId, id } = mesh
    const ofOrganization = this.#atOnce.get(organizationId) ?? 0
    if (this.#end.signal.aborted || this.#running.size >= PULLS_AT_ONCE.inAll || ofOrganization >= PULLS_AT_ONCE.ofOrganization) return undefined
    this.#atOnce.set(organizationId, ofOrganization + 1)
    const end = new AbortController()
    const over = this.#doors.clock.after(PULL_WITHIN_MS, () => end.abort())
    const running = work(AbortSignal.any([end.signal, this.#end.signal]))
      .then((pulled) => {
        this.#held.put(id, pulled.sha256, pulled.bytes)
        return pulled
      })
      .finally(() => {
        over.cancel()
        this.#running.delete(key)
        const left = (this.#atOnce.get(organizationId) ?? 1) - 1
        if (left > 0) this.#atOnce.set(organizationId, left)
        else this.#atOnce.delete(organizationId)
        this.soon()
      })
    this.#running.set(key, running)
    return running
  }

  #credentials(mesh: LoadedMesh, { namespace, module }: WantedModule): (registry: string) => Credentials | undefined {
    const name = module.imagePullSecret
    return (registry) => (name === undefined ? undefined : credentialsFor(pullSecretOf(mesh.model, namespace, name), name, registry))
  }

  async #had(mesh: LoadedMesh, wanted: WantedModule, { sha256, origin, bytes }: Pulled): Promise<void> {
    this.#failures.delete(keyOf(mesh, wanted))
    const { uid, revision, module } = wanted
    const written = await this.#write(mesh, wanted, () => ({ uid, of: askedOf(module), revision, sha256, origin }))
    if (written) this.#doors.log.info('modules.fetched', { mesh: mesh.id, object: wanted.id, url: module.url, sha256, bytes: bytes.length })
  }

  async #failed(mesh: LoadedMesh, wanted: WantedModule, error: unknown): Promise<void> {
    if (this.#end.signal.aborted) return
    const { uid, revision, module } = wanted
    this.#later(keyOf(mesh, wanted), wanted)
    const of = askedOf(module)
    // What an error of our own says is for the log: it may name what no tenant is to see.
    const reason = error instanceof ModuleProblem ? error.message.slice(0, ERROR_MAX) : 'it could not be read'
    this.#doors.log.warn('modules.failed', { mesh: mesh.id, object: wanted.id, url: module.url, reason: error instanceof ModuleProblem ? reason : wordsOf(error) })
    await this.#write(mesh, wanted, (before) => {
      if (before?.of === of && before.error === reason && before.revision === revision) return undefined
      // What the same words led to before goes on.
      const kept = before?.of === of && before.sha256 !== undefined && before.origin !== undefined ? { sha256: before.sha256, origin: before.origin } : {}
      return { uid, of, revision, ...kept, error: reason }
    })
  }

  #later(key: string, wanted: WantedModule): void {
    const { clock, random } = this.#doors
    const before = this.#failures.get(key)
    const count = before?.try === wanted.try ? before.count + 1 : 1
    const waitMs = Math.min(BACKOFF_MS * 2 ** (count - 1), BACKOFF_MS_MAX) * (0.75 + 0.5 * random.draw())
    this.#failures.set(key, { try: wanted.try, count, retryAtMs: clock.monotonicMs() + waitMs })
    if (waitMs < LOOK_EVERY_MS) clock.after(waitMs + 1, () => this.look())
  }

  /** Unless the object is another by now, or a replica was quicker. */
  #write(mesh: LoadedMesh, wanted: WantedModule, next: (before: ModuleState | undefined) => ModuleState | undefined): Promise<boolean> {
    const { namespace, member, uid, revision, module, id } = wanted
    const members = new Set([...wantedModules(mesh.model)].filter((one) => one.namespace === namespace).map((one) => one.member))
    const change = (map: ConfigMapFields | undefined): ModuleState | undefined => {
      const stored = mesh.model.object(id)
      const before = moduleState(map, member, uid)
      if (stored?.uid !== uid || stored.revision !== revision || !isAsked(before, module, revision)) return undefined
      return next(before)
    }
    return changeState(this.#doors.store, mesh, namespace, member, change, (one) => members.has(one))
  }
}

const keyOf = (mesh: LoadedMesh, wanted: WantedModule): string => `${mesh.id}/${wanted.id}`

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

