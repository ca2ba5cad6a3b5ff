import { argon2, randomBytes, timingSafeEqual } from 'node:crypto'
import { Turnstile, TurnstileFull } from '../serve/turnstile.ts'
import { rateLimited } from './rate.ts'

/** Passwords that are derived at once: each takes 19 MB and a thread, of those that read files and sign certificates, too. */
const AT_ONCE = 2
/** Those that wait. Anyone may guess, under ever new names, and the wait of the last is some seconds then. */
const WAITING_MAX = 32
const hashing = new Turnstile(AT_ONCE, WAITING_MAX)

/** OWASP's least for argon2id: 19 MiB, two passes, one lane. */
const COST = { memory: 19_456, passes: 2, parallelism: 1 } as const
const TAG_BYTES = 32

/** `argon2id$MEMORY$PASSES$LANES$SALT$TAG`, salt and tag in base64url: what the store keeps. @throws Faults 'access.rate-limited' when too many wait */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  const tag = await derive(password, salt, COST)
  return ['argon2id', COST.memory, COST.passes, COST.parallelism, salt.toString('base64url'), tag.toString('base64url')].join('$')
}

// Compared with when there is no such member, so that an answer takes as long.
const NOBODY = `argon2id$${COST.memory}$${COST.passes}$${COST.parallelism}$${'A'.repeat(22)}$${'A'.repeat(43)}`

/** Whether the password is the stored one; takes as long when nothing is stored. @throws Faults 'access.rate-limited' when too many wait */
export async function passwordMatches(password: string, stored: string | null | undefined): Promise<boolean> {
  const [, memory, passes, parallelism, salt = '', tag = ''] = (stored ?? NOBODY).split('$')
  const wanted = Buffer.from(tag, 'base64url')
  const got = await derive(password, Buffer.from(salt, 'base64url'), { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) })
  return timingSafeEqual(got, wanted) && stored !== null && stored !== undefined
}

async function derive(password: string, nonce: Buffer, cost: { memory: number; passes: number; parallelism: number }): Promise<Buffer> {
  const message = password.normalize('NFKC')
  try {
    return await hashing.pass(() => new Promise((resolve, reject) => argon2('argon2id', { message, nonce, tagLength: TAG_BYTES, ...cost }, (error, tag) => (error ? reject(error) : resolve(tag)))))
  } catch (error) {
    throw error instanceof TurnstileFull ? rateLimited('fewer passwords at once than this control plane can judge') : error
  }
}
