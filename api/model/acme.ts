import type { SecretFields } from '#core/resource/secret.ts'

/** Which authority issues the certificates of a Gateway's servers: the URL of its ACME directory. Whoever writes it agrees to the authority's terms. */
export const ACME_DIRECTORY = 'acme.weft.dev/directory'
/** Whom the authority may write to. */
export const ACME_EMAIL = 'acme.weft.dev/email'

/** The Secret beside a Gateway in which the control plane keeps its accounts, what it answers challenges with, and how its orders went. */
export const ACME_STATE = 'weft-acme'

/** RFC 8555 §8.3. */
export const ACME_PATH = '/.well-known/acme-challenge/'

/** Names of the state's members. */
export const challengeMember = (host: string): string => `challenge.${host}`
export const orderMember = (credential: string): string => `order.${credential}`
export const accountMember = (hash: string): string => `account.${hash}`

/** How the order for one certificate stands. */
export interface OrderState {
  /** Failures in a row. */
  readonly failures: number
  /** Not to be tried before. */
  readonly retryAtMs: number
  /** Why the last one failed; empty: it did not. */
  readonly error: string
  /** Who is at it, until when at most. */
  readonly holder: string
  readonly untilMs: number
  /** The certificate that was put into the Secret last: SHA-256 of its PEM, hexadecimal, and for which hosts. By it the Secret is known as ours. */
  readonly made?: { readonly sha256: string; readonly hosts: readonly string[] }
}

export const noOrder: OrderState = { failures: 0, retryAtMs: 0, error: '', holder: '', untilMs: 0 }

/** A member's text. Secrets hold base64, or, where they have just been written, text. */
export function secretText(secret: SecretFields | undefined, member: string): string | undefined {
  const plain = secret?.stringData?.[member]
  if (plain !== undefined) return plain
  const data = secret?.data?.[member]
  return data === undefined ? undefined : new TextDecoder().decode(Uint8Array.from(atob(data), (one) => one.charCodeAt(0)))
}

/** What stands in the state of one order; nothing readable is none. */
export function orderState(state: SecretFields | undefined, credential: string): OrderState {
  const text = secretText(state, orderMember(credential))
  if (text === undefined) return noOrder
  try {
    return { ...noOrder, ...(JSON.parse(text) as Partial<OrderState>) }
  } catch {
    // Somebody wrote into it by hand: begin anew.
    return noOrder
  }
}
