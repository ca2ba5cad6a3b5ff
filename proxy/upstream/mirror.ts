import type { MirrorPlan } from '#core/plan/route.ts'
import type { Engine } from '../http/engine.ts'
import type { RequestLines } from '../http/request-lines.ts'
import type { Cluster } from './cluster.ts'
import type { Upstream, UpstreamUser } from '../http/sides.ts'
import type { UpstreamHost } from './host.ts'
import type { PoolUser } from './pool.ts'

/** A copy that has no answer by then is given up. */
const MIRROR_TIMEOUT_MS = 15_000

/** Sends copies of a complete request where its route mirrors it. Answers are read and dropped; failures are nobody's business. A body that was too large to keep is not mirrored. */
export function startMirrors(engine: Engine, mirrors: readonly MirrorPlan[], lines: RequestLines, body: readonly Buffer[], bodyIsWhole: boolean): void {
  if (!bodyIsWhole) return
  for (const mirror of mirrors) {
    if (mirror.percent < 100 && engine.doors.random.draw() * 100 >= mirror.percent) continue
    const cluster = engine.cluster(mirror.cluster)
    if (cluster === undefined || cluster.requests >= cluster.plan.limits.requestsMax) continue
    const host = cluster.pick(undefined, undefined, 0)
    if (host === undefined) continue
    new Mirror(engine, cluster, host, lines, mirror.marksHost !== false, [...body]).start()
  }
}

/** One copy on its way. */
export class Mirror implements UpstreamUser, PoolUser {
  readonly #engine: Engine
  readonly #cluster: Cluster
  readonly #host: UpstreamHost
  readonly #lines: RequestLines
  readonly #marksHost: boolean
  #body: readonly Buffer[]
  #upstream: Upstream | undefined
  #waits = false
  #over = false
  readonly #deadlineMs: number

  constructor(engine: Engine, cluster: Cluster, host: UpstreamHost, lines: RequestLines, marksHost: boolean, body: readonly Buffer[]) {
    this.#engine = engine
    this.#cluster = cluster
    this.#host = host
    this.#lines = lines
    this.#marksHost = marksHost
    this.#body = body
    this.#deadlineMs = engine.doors.clock.monotonicMs() + MIRROR_TIMEOUT_MS
  }

  readonly needsHttp1 = false
  readonly overHttp2 = false

  start(): void {
    this.#cluster.requests += 1
    this.#cluster.requestsTotal += 1
    this.#host.active += 1
    this.#engine.mirrors.add(this)
    this.#waits = true
    const got = this.#host.pool.acquire(this)
    if (got === 'waits') return
    if (got === 'overflow') this.#end()
    else this.onConnection(got)
  }

  onConnection(connection: Upstream): void {
    this.#waits = false
    if (this.#over) return connection.finish()
    this.#upstream = connection
    const body = this.#body
    this.#body = []
    connection.begin(this, this.#lines.method)
    this.#lines.sendShadow(connection, this.#marksHost, body.reduce((sum, chunk) => sum + chunk.length, 0))
    for (const chunk of body) connection.sendBody(chunk, 0, chunk.length)
    connection.sendEnd('')
    connection.flush()
  }

  onConnectFailure(): void {
    this.#waits = false
    this.#cluster.record(this.#host, 'connect-failure')
    this.#end()
  }

  onUpstreamResponse(): void {}
  onUpstreamBody(): void {}
  onUpstreamReadDone(): void {}
  onUpstreamWritable(): void {}

  onUpstreamEnd(): void {
    const connection = this.#upstream
    this.#upstream = undefined
    this.#end()
    connection?.finish()
  }

  onUpstreamReset(): void {
    this.#upstream = undefined
    this.#end()
  }

  sweep(nowMs: number): void {
    if (nowMs < this.#deadlineMs) return
    if (this.#waits) this.#host.pool.cancel(this)
    const connection = this.#upstream
    this.#upstream = undefined
    this.#end()
    connection?.abort()
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.#cluster.requests -= 1
    this.#host.active -= 1
    this.#engine.mirrors.delete(this)
  }
}
