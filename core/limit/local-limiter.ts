import type { BucketPlan, LocalRateLimitPlan } from '../plan/local-rate-limit.ts'
import type { DescriptorEntry } from '../plan/rate-limit.ts'
import { TokenBucket } from './token-bucket.ts'

/** Whether a request may pass, and the bucket that says how many more may; undefined: none counts it. */
export interface LimitVerdict {
  readonly passes: boolean
  readonly bucket: TokenBucket | undefined
}

type Descriptor = readonly DescriptorEntry[]

/** The buckets of one local rate limit: a common one, one for each descriptor, and one for each value that an empty value of a descriptor stands for. */
export class LocalLimiter {
  readonly #common: TokenBucket | undefined
  readonly #own = new Map<string, TokenBucket>()
  readonly #open: readonly OpenDescriptor[]
  readonly #alwaysTakesDefault: boolean
  readonly #granted: LimitVerdict
  readonly #refused: LimitVerdict

  constructor(plan: LocalRateLimitPlan, nowMs: number) {
    this.#common = plan.bucket && new TokenBucket(plan.bucket, nowMs)
    this.#alwaysTakesDefault = plan.alwaysTakesDefault
    const open: OpenDescriptor[] = []
    for (const { entries, bucket } of plan.descriptors) {
      if (entries.some(([, value]) => value === '')) open.push(new OpenDescriptor(entries, bucket, plan.bucketsMax))
      else this.#own.set(keyOf(entries), new TokenBucket(bucket, nowMs))
    }
    this.#open = open
    this.#granted = { passes: true, bucket: this.#common }
    this.#refused = { passes: false, bucket: this.#common }
  }

  /** Takes a token from each bucket that counts the request, those that fill slowest first; what was taken stays taken, though another has none left. */
  judge(descriptors: readonly Descriptor[], nowMs: number): LimitVerdict {
    const matched: TokenBucket[] = []
    for (const one of descriptors) {
      const bucket = this.#bucketOf(one, nowMs)
      if (bucket !== undefined) matched.push(bucket)
    }
    matched.sort((a, b) => a.tokensPerMs - b.tokensPerMs)
    for (const bucket of matched) if (!bucket.take(nowMs)) return { passes: false, bucket }
    const first = matched[0]
    if (first === undefined || this.#alwaysTakesDefault) {
      if (this.#common?.take(nowMs) === false) return this.#refused
      if (first === undefined) return this.#granted
    }
    return { passes: true, bucket: first }
  }

  #bucketOf(descriptor: Descriptor, nowMs: number): TokenBucket | undefined {
    const own = this.#own.get(keyOf(descriptor))
    if (own !== undefined) return own
    for (const one of this.#open) if (one.matches(descriptor)) return one.bucketOf(descriptor, nowMs)
    return undefined
  }
}

/** One that leaves values open: those that were asked last have their buckets. */
class OpenDescriptor {
  readonly #entries: Descriptor
  readonly #bucket: BucketPlan
  readonly #bucketsMax: number
  /** The one asked last stands last. */
  readonly #buckets = new Map<string, TokenBucket>()

  constructor(entries: Descriptor, bucket: BucketPlan, bucketsMax: number) {
    this.#entries = entries
    this.#bucket = bucket
    this.#bucketsMax = bucketsMax
  }

  matches(descriptor: Descriptor): boolean {
    if (descriptor.length !== this.#entries.length) return false
    return this.#entries.every(([key, value], at) => descriptor[at]?.[0] === key && (value === '' || descriptor[at][1] === value))
  }

  bucketOf(descriptor: Descriptor, nowMs: number): TokenBucket {
    const key = keyOf(descriptor)
    const bucket = this.#buckets.get(key) ?? new TokenBucket(this.#bucket, nowMs)
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    if (this.#buckets.size > this.#bucketsMax) for (const oldest of this.#buckets.keys()) return this.#without(oldest, bucket)
    return bucket
  }

  #without(oldest: string, bucket: TokenBucket): TokenBucket {
    this.#buckets.delete(oldest)
    return bucket
  }
}

const keyOf = (entries: Descriptor): string => JSON.stringify(entries)
