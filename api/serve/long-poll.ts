import { create, fromJson, type JsonValue } from '@bufbuild/protobuf'
import { AnySchema } from '@bufbuild/protobuf/wkt'
import { status } from '@grpc/grpc-js'
import { fault, Faults } from '#core/fault/fault.ts'
import type { Clock, Timer } from '#core/time/clock.ts'
import { contentHash } from '#core/wire/encode.ts'
import { type DiscoveryRequest, DiscoveryRequestSchema, DiscoveryResponseSchema } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, EXTENSION_CONFIG, LISTENER, ROUTE_CONFIGURATION, RUNTIME, SCOPED_ROUTE_CONFIGURATION, SECRET } from '#core/wire/type-url.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { admitted, agreedNode } from './ads.ts'
import { CallRefused } from './credentials.ts'
import { wildcardTypes } from './pass.ts'
import type { Peer, ServeDoors } from './peer.ts'
import type { Resource, ResourceView } from './resource.ts'
import type { Turnstile } from './turnstile.ts'

/** `POST /v3/discovery:KIND`, as in the protos' google.api.http options. ADS is not offered there (xds-rules 30). */
export const pollKinds: ReadonlyMap<string, string> = new Map([
  ['listeners', LISTENER],
  ['routes', ROUTE_CONFIGURATION],
  ['scoped-routes', SCOPED_ROUTE_CONFIGURATION],
  ['clusters', CLUSTER],
  ['endpoints', CLUSTER_LOAD_ASSIGNMENT],
  ['secrets', SECRET],
  ['extension_configs', EXTENSION_CONFIG],
  ['runtime', RUNTIME],
])

/** A poll without news is held so long, then answered with 304: below what gateways and load balancers cut. */
const holdMs = 25_000
/** A node that does not poll for so long is gone. */
const sessionMs = 60_000
/** A client that asks again with the version before either lost the answer or refused it without a word: so often it is answered at once, and after that when something changes. */
const repeatsMax = 3
const namesMax = 10_000
/** Sets of names that are remembered of a node, the latest: what is forgotten is answered anew. */
const askedMax = 10_000

export interface Poll {
  /** Full type URL. */
  readonly type: string
  /** A DiscoveryRequest as protobuf JSON: read once the bearer has proven who it is. */
  readonly body: () => Promise<unknown>
  readonly bearer: string | undefined
  /** Aborted when the client hangs up. */
  readonly signal: AbortSignal
}

/** One type and set of names that a node polls: Envoy polls each cluster's endpoints by themselves. */
interface Asked {
  answered: string
  repeats: number
}

interface Session {
  readonly peer: Peer
  readonly node: ProxyNode
  readonly view: ResourceView
  readonly asked: Map<string, Asked>
  polls: number
  expiry: Timer | undefined
}

/** Discovery by long polling for hosts that cut streams: the same views, held by a node as long as it keeps polling. */
export class LongPoll {
  readonly #clock: Clock
  readonly #serve: ServeDoors
  readonly #turnstile: Turnstile
  readonly #sessions = new Map<string, Promise<Session>>()
  /** Ends each poll that is held, for another replica. */
  readonly #sendAway = new Set<() => void>()
  #closed = false

  constructor(clock: Clock, serve: ServeDoors, turnstile: Turnstile) {
    this.#clock = clock
    this.#serve = serve
    this.#turnstile = turnstile
  }

  /**
   * Answers once what the client holds (`version_info`) is not what it should, with a DiscoveryResponse as protobuf JSON; undefined when it still is after a while, or when the client hung up.
   * @throws Faults 'access.unauthenticated', 'request.invalid'; CallRefused where node and credential contradict each other, or UNAVAILABLE once this replica closes and there is no news
   */
  async poll({ type, body, bearer, signal }: Poll): Promise<JsonValue | undefined> {
    const peer = await this.#serve.authenticate({ ...(bearer === undefined ? {} : { bearer }), loopbackPlaintext: false })
    const held = this.#serve.hold?.(peer)
    try {
      return await this.#answer(peer, type, await body(), held === undefined ? signal : AbortSignal.any([signal, held.signal]))
    } finally {
      held?.release()
    }
  }

  async #answer(peer: Peer, type: string, body: unknown, signal: AbortSignal): Promise<JsonValue | undefined> {
    const request = readRequest(body)
    if (request.typeUrl !== '' && request.typeUrl !== type) throw new Faults([fault('request.invalid', { path: 'type_url', value: request.typeUrl.slice(0, 200), rule: `${type}, which is what is polled here` })])
    if (request.resourceNames.length > namesMax) throw new Faults([fault('request.invalid', { path: 'resource_names', rule: `at most ${namesMax} names` })])
    const node = agreedNode(peer, request.node)
    const session = await this.#session(peer, node)
    session.polls += 1
    session.expiry?.cancel()
    try {
      const names = [...new Set(request.resourceNames)].sort()
      // By hash: names are the client's, and as long as it likes.
      const key = contentHash(Buffer.from(`${type} ${names.join(' ')}`))
      const asked = session.asked.get(key) ?? { answered: '', repeats: 0 }
      session.asked.delete(key)
      session.asked.set(key, asked)
      if (session.asked.size > askedMax) for (const oldest of session.asked.keys()) if (session.asked.delete(oldest)) break
      // What it refused, in words or by asking for it once too often, does not come again before it changes (xds-rules 9).
      const repeats = asked.answered !== '' && request.versionInfo !== asked.answered
      asked.repeats = repeats ? asked.repeats + 1 : 0
      const refused = repeats && (request.errorDetail !== undefined || asked.repeats > repeatsMax) ? asked.answered : undefined
      const resources = await this.#news(session.view, type, names, new Set([request.versionInfo, refused]), signal)
      if (resources === undefined) return undefined
      const version = versionOf(resources)
      if (version !== asked.answered) asked.repeats = 0
      asked.answered = version
      return await responseJson(type, asked.answered, resources)
    } finally {
      session.polls -= 1
      if (session.polls === 0) session.expiry = this.#clock.after(sessionMs, () => this.#end(session))
    }
  }

  /** Whoever is held, or would be, is sent to another replica. */
  close(): void {
    this.#closed = true
    for (const sendAway of this.#sendAway) sendAway()
    for (const opening of this.#sessions.values()) void opening.then((session) => this.#end(session), () => undefined)
  }

  async #session(peer: Peer, node: ProxyNode): Promise<Session> {
    const key = sessionKey(peer, node)
    const known = this.#sessions.get(key)
    if (known !== undefined) return known
    const opening = this.#open(peer, node)
    this.#sessions.set(key, opening)
    opening.catch(() => this.#sessions.delete(key))
    return opening
  }

  async #open(peer: Peer, said: ProxyNode): Promise<Session> {
    const { node, view } = await this.#turnstile.pass(() => admitted(this.#serve, peer, said))
    const session: Session = { peer, node, view, asked: new Map(), polls: 0, expiry: undefined }
    this.#serve.connected(peer, node, () => this.#end(session))
    return session
  }

  #end(session: Session): void {
    session.expiry?.cancel()
    if (!this.#sessions.delete(sessionKey(session.peer, session.node))) return
    session.view.release()
    this.#serve.disconnected(session.peer, session.node, 'lost')
  }

  /** The resources once their version is none of those that the client has or refused. */
  #news(view: ResourceView, type: string, names: readonly string[], known: ReadonlySet<string | undefined>, signal: AbortSignal): Promise<Resource[] | undefined> {
    const look = (): Resource[] | undefined => {
      const resources = wanted(view, type, names)
      return known.has(versionOf(resources)) ? undefined : resources
    }
    const now = look()
    if (now !== undefined) return Promise.resolve(now)
    if (this.#closed) return Promise.reject(goingAway())
    return new Promise((resolve, reject) => {
      const release = (): void => {
        timer.cancel()
        stop()
        signal.removeEventListener('abort', hangUp)
        this.#sendAway.delete(sendAway)
      }
      const finish = (resources: Resource[] | undefined): void => {
        release()
        resolve(resources)
      }
      const sendAway = (): void => {
        release()
        reject(goingAway())
      }
      this.#sendAway.add(sendAway)
      const hangUp = (): void => finish(undefined)
      const timer = this.#clock.after(holdMs, hangUp)
      const stop = view.subscribe((change) => {
        if (![...change.changed, ...change.removed].some((one) => one.type === type)) return
        const news = look()
        if (news !== undefined) finish(news)
      })
      signal.addEventListener('abort', hangUp)
      if (signal.aborted) hangUp()
    })
  }
}

const goingAway = (): CallRefused => new CallRefused(status.UNAVAILABLE, 'the control plane is going away', true)

const sessionKey = (peer: Peer, node: ProxyNode): string => `${peer.meshId} ${node.namespace} ${node.serviceAccount} ${node.id}`

/** Envoy sends fields that only it knows. */
function readRequest(body: unknown): DiscoveryRequest {
  try {
    return fromJson(DiscoveryRequestSchema, body as JsonValue, { ignoreUnknownFields: true })
  } catch (error) {
    throw new Faults([fault('request.invalid', { path: '', rule: `a DiscoveryRequest: ${error instanceof Error ? error.message : String(error)}` })])
  }
}

/** All that a request asks for and is there, or what stands for its absence (xds-rules 19). No names mean everything, of the types that have a wildcard. */
function wanted(view: ResourceView, type: string, names: readonly string[]): Resource[] {
  if (names.length === 0) return wildcardTypes.has(type) ? [...view.list(type)] : []
  return names.flatMap((name) => view.get(type, name) ?? view.placeholder(type, name) ?? [])
}

/** The same content has the same version on every replica, so a poll may go to any. */
const versionOf = (resources: readonly Resource[]): string =>
  contentHash(
    Buffer.from(
      resources
        .map((one) => `${one.name}\n${one.version}\n`)
        .sort()
        .join(''),
    ),
  )

/** With all of Envoy's API, which is loaded for the first who polls. */
async function responseJson(typeUrl: string, versionInfo: string, resources: readonly Resource[]): Promise<JsonValue> {
  const { messageToJson } = await import('#core/wire/registry.ts')
  const response = create(DiscoveryResponseSchema, { typeUrl, versionInfo, nonce: versionInfo, resources: resources.map((one) => create(AnySchema, { typeUrl: one.type, value: one.bytes })) })
  return messageToJson(DiscoveryResponseSchema, response, 'proto')
}
