import type { Topology } from '#core/contract/topology.ts'
import type { ProxyStatus } from '#core/contract/proxy-status.ts'
import { type Problem, RestProblem, getItems, getJson, meshPath, reach, readProblem } from '../session/rest.ts'
import { eventParser } from './event-parser.ts'
import { type Remembered, remember } from './remembered.ts'

/** What the page knows of the mesh right now. Replaced whole at each change, never written to. */
export interface MeshState {
  /** `refused`: the key or the mesh is not accepted; trying again would not help. */
  readonly link: 'connecting' | 'live' | 'reconnecting' | 'refused'
  /** The newest thing that went wrong while the link is not live. */
  readonly problem: Problem | undefined
  readonly graph: Remembered | undefined
  readonly proxies: readonly ProxyStatus[] | undefined
  /** The mesh's newest revision that the stream spoke of; 0 before it did. */
  readonly revision: number
}

export interface LiveFeedOptions {
  readonly origin: string
  readonly key: string
  readonly mesh: string
  /** First wait before coming back, unless the server asks for another; doubles up to `retryMaxMs`. */
  readonly retryMs?: number
  readonly retryMaxMs?: number
  /** The server says something each second; this long without a byte means that the link is dead though nobody said so. */
  readonly silenceMaxMs?: number
}

/** Follows one mesh: its event stream, kept up across breaks, and what the stream says, folded into one state. */
export class LiveFeed {
  readonly #options: Required<LiveFeedOptions>
  readonly #listeners = new Set<() => void>()
  readonly #stopped = new AbortController()
  #state: MeshState = { link: 'connecting', problem: undefined, graph: undefined, proxies: undefined, revision: 0 }
  #lastEventId = ''
  #firstWaitMs: number
  #wake: () => void = () => undefined

  constructor(options: LiveFeedOptions) {
    this.#options = { retryMs: 500, retryMaxMs: 8000, silenceMaxMs: 15_000, ...options }
    this.#firstWaitMs = this.#options.retryMs
  }

  get now(): MeshState {
    return this.#state
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Runs until `stop` or until the server refuses. */
  async run(): Promise<void> {
    void this.#fetchProxies()
    for (let failures = 0; !this.#stopped.signal.aborted; failures += 1) {
      const outcome = await this.#follow(() => (failures = 0))
      if (this.#stopped.signal.aborted) return
      if (outcome.status === 401 || outcome.status === 403 || outcome.status === 404) {
        this.#set({ link: 'refused', problem: outcome })
        return
      }
      this.#set({ link: this.#state.graph === undefined && this.#state.link === 'connecting' ? 'connecting' : 'reconnecting', problem: outcome })
      await this.#wait(retryDelayMs(failures, this.#firstWaitMs, this.#options.retryMaxMs))
    }
  }

  stop(): void {
    this.#stopped.abort()
    this.#wake()
  }

  /** Comes back at once, when a person asks or the network is back. */
  retryNow(): void {
    this.#wake()
  }

  async #follow(onLive: () => void): Promise<Problem> {
    const attempt = new AbortController()
    const give = (): void => attempt.abort()
    this.#stopped.signal.addEventListener('abort', give)
    let silence = setTimeout(give, this.#options.silenceMaxMs)
    try {
      const headers: Record<string, string> = { authorization: `Bearer ${this.#options.key}`, accept: 'text/event-stream' }
      if (this.#lastEventId !== '') headers['last-event-id'] = this.#lastEventId
      const response = await reach(() => fetch(new URL(`${meshPath(this.#options.mesh)}/events`, this.#options.origin), { headers, signal: attempt.signal, cache: 'no-store' }))
      if (!response.ok) return await readProblem(response)
      if (response.body === null) return ended
      const parser = eventParser()
      const decoder = new TextDecoder()
      const reader = response.body.getReader()
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return ended
        clearTimeout(silence)
        silence = setTimeout(give, this.#options.silenceMaxMs)
        onLive()
        // What changed among the proxies while the link was down, the stream will not tell again.
        if (this.#state.link === 'reconnecting') void this.#fetchProxies()
        if (this.#state.link !== 'live') this.#set({ link: 'live', problem: undefined })
        for (const event of parser.push(decoder.decode(value, { stream: true }))) this.#take(event.type, event.data)
        this.#lastEventId = parser.lastEventId()
        this.#firstWaitMs = parser.retryMs() ?? this.#firstWaitMs
      }
    } catch (error) {
      if (error instanceof RestProblem) return error.problem
      return { status: 0, title: attempt.signal.aborted ? 'The event stream fell silent' : 'The event stream broke off', detail: error instanceof Error && !attempt.signal.aborted ? error.message : undefined }
    } finally {
      clearTimeout(silence)
      attempt.abort()
      this.#stopped.signal.removeEventListener('abort', give)
    }
  }

  #take(type: string, data: string): void {
    if (type === 'topology') this.#takeTopology(JSON.parse(data) as Topology)
    else if (type === 'revision') this.#set({ revision: Math.max(this.#state.revision, readRevision(JSON.parse(data))) })
    else if (type === 'proxies') this.#set({ proxies: readProxies(JSON.parse(data)) })
    else if (type === 'rejection') void this.#fetchProxies() // the statuses themselves say what was refused, by whom and why
  }

  #takeTopology(topology: Topology): void {
    this.#set({ graph: remember(this.#state.graph, topology), revision: Math.max(this.#state.revision, topology.revision) })
  }

  /** The first paint does not wait for the stream to speak of proxies, which it does only when something changes. */
  async #fetchProxies(): Promise<void> {
    const { origin, key, mesh } = this.#options
    try {
      const { items } = await getItems<ProxyStatus>(origin, `${meshPath(mesh)}/proxies`, key, 20_000, this.#stopped.signal)
      this.#set({ proxies: sortProxies(items) })
      if (this.#state.graph === undefined) this.#takeTopology((await getJson(origin, `${meshPath(mesh)}/topology`, key, this.#stopped.signal)) as Topology)
    } catch {
      // The stream meets the same trouble and reports it; its next event brings what was missed here.
    }
  }

  #set(change: Partial<MeshState>): void {
    this.#state = { ...this.#state, ...change }
    for (const listener of this.#listeners) listener()
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

const ended: Problem = { status: 0, title: 'The event stream ended', detail: undefined }

/** Doubles from `firstMs` to `maxMs`; failures count from 0. */
export const retryDelayMs = (failures: number, firstMs: number, maxMs: number): number => Math.min(maxMs, firstMs * 2 ** Math.min(failures, 16))

function readProxies(data: unknown): ProxyStatus[] {
  if (Array.isArray(data)) return sortProxies(data as ProxyStatus[])
  if (typeof data === 'object' && data !== null && 'items' in data && Array.isArray(data.items)) return sortProxies(data.items as ProxyStatus[])
  return []
}

const readRevision = (data: unknown): number => (typeof data === 'object' && data !== null && 'revision' in data && typeof data.revision === 'number' ? data.revision : 0)

const sortProxies = (proxies: readonly ProxyStatus[]): ProxyStatus[] =>
  [...proxies].sort((one, other) => one.node.namespace.localeCompare(other.node.namespace) || one.node.name.localeCompare(other.node.name) || (one.node.id < other.node.id ? -1 : 1))
