import type { Clock, Timer } from '#core/time/clock.ts'
import type { Topology } from '#core/contract/topology.ts'
import type { ProxyStatus } from '#core/contract/proxy-status.ts'
import type { MeshEvent } from './rest/doors.ts'

const PERIOD_MS = 1000
/** Whoever hears nothing for 15 s takes the stream for dead. */
const HEARTBEAT_MS = 10_000

interface Sources {
  topology(meshId: string): Promise<Topology>
  proxies(meshId: string): readonly ProxyStatus[]
}

interface Audience {
  readonly listeners: Set<(event: MeshEvent) => void>
  readonly timers: readonly Timer[]
  /** A picture is being made: another is not begun meanwhile. */
  busy: boolean
  /** What was last said of the proxies: said again only when it differs. */
  proxies: string
}

/** Live events of the meshes that somebody watches: one picture a second is made for all who look, and none where nobody does. */
export class LiveEvents {
  readonly #clock: Clock
  readonly #sources: Sources
  readonly #failed: (error: unknown) => void
  readonly #audiences = new Map<string, Audience>()

  /** @param failed hears why a picture could not be made; the next second tries again */
  constructor(clock: Clock, sources: Sources, failed: (error: unknown) => void) {
    this.#clock = clock
    this.#sources = sources
    this.#failed = failed
  }

  /** The first events come at once. Returns the way to stop. */
  follow(meshId: string, listener: (event: MeshEvent) => void): () => void {
    let audience = this.#audiences.get(meshId)
    if (!audience) {
      const listeners = new Set<(event: MeshEvent) => void>()
      const beat = (): void => tellAll(listeners, { event: 'heartbeat' })
      audience = { listeners, timers: [this.#clock.every(PERIOD_MS, () => this.#tell(meshId)), this.#clock.every(HEARTBEAT_MS, beat)], busy: false, proxies: '' }
      this.#audiences.set(meshId, audience)
    }
    audience.listeners.add(listener)
    listener({ event: 'proxies', data: this.#sources.proxies(meshId) })
    this.#tell(meshId)
    return () => {
      const left = this.#audiences.get(meshId)
      left?.listeners.delete(listener)
      if (!left || left.listeners.size > 0) return
      for (const timer of left.timers) timer.cancel()
      this.#audiences.delete(meshId)
    }
  }

  /** One event for all who watch the mesh. */
  tell(meshId: string, event: MeshEvent): void {
    for (const listener of this.#audiences.get(meshId)?.listeners ?? []) listener(event)
  }

  /** Whether anyone watches. */
  hasAudience(meshId: string): boolean {
    return this.#audiences.has(meshId)
  }

  close(): void {
    for (const { timers } of this.#audiences.values()) for (const timer of timers) timer.cancel()
    this.#audiences.clear()
  }

  #tell(meshId: string): void {
    const audience = this.#audiences.get(meshId)
    if (!audience) return
    const proxies = this.#sources.proxies(meshId)
    const said = JSON.stringify(proxies)
    if (said !== audience.proxies) {
      audience.proxies = said
      tellAll(audience.listeners, { event: 'proxies', data: proxies })
    }
    if (audience.busy) return
    audience.busy = true
    this.#sources
      .topology(meshId)
      .then(
        (topology) => tellAll(audience.listeners, { event: 'topology', data: topology }),
        (error: unknown) => this.#failed(error),
      )
      .finally(() => (audience.busy = false))
  }
}

/** The very same event for all, so that it can be written once. */
function tellAll(listeners: Iterable<(event: MeshEvent) => void>, event: MeshEvent): void {
  for (const listener of listeners) listener(event)
}
