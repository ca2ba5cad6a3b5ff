import { connect, isIP } from 'node:net'
import type { Clock } from '#core/time/clock.ts'
import type { ListenerPlan } from '#core/plan/listener.ts'
import type { SocketAddress } from '#core/workload/workload.ts'
import { PROOF } from './rules.ts'

/** What a proxy takes that only rules bring: connections of a direction, of a family of addresses. */
export interface Captured {
  readonly direction: 'outbound' | 'inbound'
  readonly family: 4 | 6
}

export interface ProofDoors {
  readonly clock: Clock
  /** Of this machine, loopback left out. */
  readonly ownAddresses: () => readonly string[]
}

/** A connection within the machine takes no time. Of one that goes from loopback to an address of IPv6 where nobody listens, nothing is heard. */
const WITHIN_MS = 1000

/** Whether a connection was made by `proveCapture`: it has nothing to say. */
export const isProof = (to: SocketAddress, from: string | undefined): boolean =>
  (to.port === PROOF.outboundPort || to.port === PROOF.inboundPort) && (to.address === PROOF.address || (isIP(to.address) === 6 && to.address !== '::1' && from === '::1'))

/** What listeners take that a redirect brings, by the families of the addresses that they bind. */
export function capturedBy(listeners: Iterable<ListenerPlan>): Captured[] {
  const found: Captured[] = []
  for (const { bind, further = [], direction, usesOriginalDestination } of listeners) {
    if (bind === undefined || usesOriginalDestination !== true) continue
    for (const { address } of [bind, ...further]) {
      const family = isIP(address) === 6 ? 6 : 4
      if (!found.some((one) => one.direction === direction && one.family === family)) found.push({ direction: direction === 'inbound' ? 'inbound' : 'outbound', family })
    }
  }
  return found
}

/**
 * Proves that what is captured comes to the proxy: a connection to a place where nobody listens is taken, for the rules redirect it to the proxy's listener, while one from elsewhere to the same place is refused, for they do not.
 * The rules take it whoever makes it, so that the proxy's own user can. Nothing is written: the connection is the proof.
 * What comes in cannot be imitated from within the machine: it is proven by the rule that redirects it, which is in force together with that which leads there, as both are put in force in one transaction.
 * @returns the reasons why it is not proven; empty when it is. Rejects never
 */
export async function proveCapture(captured: readonly Captured[], doors: ProofDoors): Promise<string> {
  const reasons = await Promise.all(captured.map((one) => prove(one, doors)))
  return reasons.filter((one) => one !== '').join('; ')
}

async function prove({ direction, family }: Captured, { clock, ownAddresses }: ProofDoors): Promise<string> {
  const port = direction === 'inbound' ? PROOF.inboundPort : PROOF.outboundPort
  const what = `${direction} connections over IPv${family}`
  const own = family === 4 ? PROOF.address : ownAddresses().find((address) => isIP(address) === 6)
  if (own === undefined) return `${what}: this machine has no address of IPv6 by which to prove them`
  const [marked, plain] = await Promise.all([takes(own, port, clock, family === 4 ? PROOF.address : '::1'), takes(own, port, clock)])
  if (marked !== '') return `${what} are not redirected to the proxy (${marked})`
  return plain === '' ? `${what}: somebody listens at port ${port}, which is kept for the proof, or the proxy is not one of the users whose connections are left alone` : ''
}

/** Why a place takes no connection; empty: it does. */
function takes(host: string, port: number, clock: Clock, localAddress?: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, ...(localAddress === undefined ? {} : { localAddress }) })
    const settle = (why: string): void => {
      late.cancel()
      socket.destroy()
      resolve(why)
    }
    // A process that was held up hears of a connection that has stood for long only after its timers.
    let late = clock.after(WITHIN_MS, () => (late = clock.after(0, () => settle(`no answer within ${WITHIN_MS / 1000} s`))))
    socket.once('connect', () => settle('')).on('error', (error: NodeJS.ErrnoException) => settle(`${error.code ?? error.message} at ${inAuthority(host)}:${port}`))
  })
}

const inAuthority = (host: string): string => (isIP(host) === 6 ? `[${host}]` : host)
