import type { RetryPlan } from '#core/plan/route.ts'
import { retryDelayMs, shouldRetry } from '#core/balance/retry.ts'
import type { TryOutcome } from '#core/balance/retry.ts'
import type { Cluster } from '../upstream/cluster.ts'
import type { UpstreamHost } from '../upstream/host.ts'
import type { Exchange } from './exchange.ts'
import type { HttpResponseHead } from './response-reader.ts'

/** RFC 9110 §9.2.2. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])

/** Whether a request of this method may be repeated without asking whether its first copy was carried out. */
export const isIdempotent = (method: string): boolean => IDEMPOTENT.has(method)

/** The tries of one request beyond its first: how many are left of its route's policy and of its cluster's limit, and where it has been (envoy.config.route.v3.RetryPolicy). */
export class Retries {
  readonly plan: RetryPlan
  readonly #cluster: Cluster
  #done = 0
  /** Among the cluster's retries under way. */
  #counted = false
  readonly #tried: UpstreamHost[] = []

  constructor(plan: RetryPlan, cluster: Cluster) {
    this.plan = plan
    this.#cluster = cluster
  }

  /** Whether the policy allows one more, and the cluster has room for it; a request that is among its retries already stays there. Else the exchange is flagged with what it came up against. */
  mayGoOn(exchange: Exchange): boolean {
    if (this.#done >= this.plan.retriesMax) {
      if (this.plan.retriesMax > 0) exchange.addFlag('URX')
      return false
    }
    if (this.#counted || this.#cluster.mayRetry) return true
    this.#cluster.overflows += 1
    exchange.addFlag('UO')
    return false
  }

  /** Counts one more try, after `failed` failed. Answers the ms to wait before it; `draw` is uniform in [0, 1). */
  next(failed: UpstreamHost | undefined, draw: number): number {
    if (!this.#counted) {
      this.#counted = true
      this.#cluster.retries += 1
    }
    this.#done += 1
    if ((this.plan.avoidTriedHosts || this.plan.avoidTriedPriorities !== undefined) && failed !== undefined) this.#tried.push(failed)
    return retryDelayMs(this.plan, this.#done, draw)
  }

  /** The request is over. */
  release(): void {
    if (this.#counted) this.#cluster.retries -= 1
    this.#counted = false
  }

  /** Not to be picked again, if there are others. */
  get avoidedHosts(): readonly UpstreamHost[] | undefined {
    return this.plan.avoidTriedHosts ? this.#tried : undefined
  }

  /** Priorities to leave out: those tried, looked at anew after every so many tries (previous_priorities). */
  get avoidedPriorities(): ReadonlySet<number> | undefined {
    const frequency = this.plan.avoidTriedPriorities?.updateFrequency
    if (frequency === undefined || this.#tried.length === 0) return undefined
    const counted = this.#tried.slice(0, this.#tried.length - (this.#tried.length % frequency))
    return new Set(counted.map((host) => host.priority))
  }
}

/** Whether the policy tries again after such an answer, as far as that goes by the answer. */
export function retriesAfter(plan: RetryPlan, head: HttpResponseHead): boolean {
  const outcome = outcomeOf(head)
  return outcome !== undefined && shouldRetry(plan, outcome)
}

/** What an answer says of its try; undefined: nothing that any policy tries again for. */
function outcomeOf(head: HttpResponseHead): TryOutcome | undefined {
  const grpc = head.header('grpc-status')
  if (head.status < 400 && grpc === undefined) return undefined
  return {
    status: head.status,
    ...(grpc !== undefined && { grpcStatus: Number(grpc) }),
    ...(head.header('x-envoy-ratelimited') !== undefined && { rateLimited: true }),
  }
}
