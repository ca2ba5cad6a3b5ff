import type { Clock, Timer } from '#core/time/clock.ts'
import type { Topology } from '#core/contract/topology.ts'
import type { ProxyStatus } from '#core/contract/proxy-status.ts'
import type { MeshEvent } from './rest/doors.ts'

const PERIOD_MS = 1000

interface Sources {
  topology(meshId: string): Promise<Topology>
  proxies(meshId: string): readonly ProxyStatus[]
}

interface Audience {
  readonly listeners: Set<(event: MeshEvent) => void>
  readonly timer: Timer
  /** What was last said of the proxies: said again only when it differs. */
  proxies: string
}

/** Live events of the meshes that somebody watches: one picture a second is made for all who look, and none where nobody does. */
export class LiveEvents {
  readonly #clock: Clock
  readonly #sources: Sources
  readonly #audiences = new Map<string, Audience>()

  constructor(clock: Clock, sources: Sources) {
    this.#clock = clock
    this.#sources = sources
  }

  /** The first events come at once. Returns the way to stop. */
  follow(meshId: string, listener: (event: MeshEvent) => void): () => void {
    let audience = this.#audiences.get(meshId)
    if (!audience) {
      audience = { listeners: new Set(), timer: this.#clock.every(PERIOD_MS, () => this.#tell(meshId)), proxies: '' }
      this.#audiences.set(meshId, audience)
    }
    audience.listeners.add(listener)
    listener({ event: 'proxies', data: this.#sources.proxies(meshId) })
    this.#tell(meshId)
    return () => {
      const left = this.#audiences.get(meshId)
      left?.listeners.delete(listener)
      if (!left || left.listeners.size > 0) return
      left.timer.cancel()
      this.#audiences.delete(meshId)
    }
  }

  close(): void {
    for (const audience of this.#audiences.values()) audience.timer.cancel()
    this.#audiences.clear()
  }

  #tell(meshId: string): void {
    const audience = this.#audiences.get(meshId)
    if (!audience) return
    const proxies = this.#sources.proxies(meshId)
    const said = JSON.stringify(proxies)
    if (said !== audience.proxies) {
      audience.proxies = said
      for (const listener of audience.listeners) listener({ event: 'proxies', data: proxies })
    }
    void this.#sources.topology(meshId).then((topology) => {
      for (const listener of audience.listeners) listener({ event: 'topology', data: topology })
    })
  }
}
