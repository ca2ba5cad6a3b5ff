import { timingSafeEqual } from 'node:crypto'
import type { Context } from 'hono'
import { LRUCache } from 'lru-cache'
import type { MeshNames } from '#db/store.ts'
import { credentialOf } from '../apply/target.ts'
import type { ApiDoors } from '../rest/doors.ts'
import type { Actor } from './actor.ts'
import { authenticate, authenticateFor } from './check.ts'
import type { FoundMesh } from './check.ts'
import { hashCredential } from './credential.ts'
import { networkOf } from './network.ts'
import { RATE_DEFAULT, Rates, STRANGER_RATE } from './rate.ts'
import { sourceOf } from './source.ts'

/** Keys that were accepted lately, by hash: their holders are not held up by what their neighbours try. */
const ACCEPTED_MAX = 20_000

/** How often whoever may ask: by key once it is proven, by network before. */
export class RequestRates {
  readonly #keys: Rates
  readonly #strangers: Rates
  readonly #accepted = new LRUCache<string, true>({ max: ACCEPTED_MAX })

  constructor(wallMs: () => number) {
    this.#keys = new Rates(RATE_DEFAULT, wallMs)
    this.#strangers = new Rates(STRANGER_RATE, wallMs)
  }

  /** Before the key is looked up. Without an address there is no network: nobody who came over one. @throws Faults 'access.rate-limited' */
  knock(hash: string | undefined, source: string): void {
    if (source !== '' && (hash === undefined || !this.#accepted.has(hash))) this.#strangers.take(networkOf(source))
  }

  /** Once the key is proven. @throws Faults 'access.rate-limited' */
  accept(hash: string, id: string): void {
    this.#accepted.set(hash, true)
    this.#keys.take(id)
  }

  /** It was no key, or is not any more. */
  refuse(hash: string | undefined): void {
    if (hash !== undefined) this.#accepted.delete(hash)
  }

  /** Buckets that are held in memory. */
  get size(): number {
    return this.#keys.size + this.#strangers.size + this.#accepted.size
  }
}

/** Who asks, by the header alone: nothing of the body has been read. */
export interface Caller {
  /** Undefined for the bootstrap key, which belongs to no organization. */
  readonly actor: Actor | undefined
}

type EntryDoors = Pick<ApiDoors, 'rates' | 'store' | 'trustedProxies'>

/** The first thing that becomes of a request. @throws Faults 'access.unauthenticated', 'access.rate-limited' */
export async function enter(doors: EntryDoors & Pick<ApiDoors, 'bootstrapKeyHash'>, context: Context): Promise<Caller> {
  const secret = credentialOf(context.req.header('authorization'))
  const hash = secret === undefined ? undefined : hashCredential('key', secret)
  if (hash === undefined || !isEqual(hash, doors.bootstrapKeyHash)) return proven(doors, context, hash, async () => ({ actor: await authenticate(doors.store, secret) }))
  doors.rates?.requests.knock(hash, sourceOf(context, doors.trustedProxies))
  doors.rates?.requests.accept(hash, 'bootstrap')
  return { actor: undefined }
}

/** Lets a key in that is one, at its rate. */
async function proven<T extends { readonly actor: Actor }>({ rates, trustedProxies }: EntryDoors, context: Context, hash: string | undefined, look: () => Promise<T>): Promise<T> {
  rates?.requests.knock(hash, sourceOf(context, trustedProxies))
  const entered = await look().catch((error: unknown) => {
    rates?.requests.refuse(hash)
    throw error
  })
  if (hash !== undefined) rates?.requests.accept(hash, entered.actor.id)
  return entered
}

/** As `enter`, where the bootstrap key opens nothing; and what the request's names lead to, which costs no further look. @throws Faults 'access.unauthenticated', 'access.rate-limited' */
export function enterMesh(doors: EntryDoors, context: Context, names: MeshNames): Promise<{ readonly actor: Actor; readonly found: FoundMesh | undefined }> {
  const secret = credentialOf(context.req.header('authorization'))
  return proven(doors, context, secret === undefined ? undefined : hashCredential('key', secret), () => authenticateFor(doors.store, secret, names))
}

const isEqual = (hash: string, known: string | undefined): boolean => known !== undefined && hash.length === known.length && timingSafeEqual(Buffer.from(hash), Buffer.from(known))
