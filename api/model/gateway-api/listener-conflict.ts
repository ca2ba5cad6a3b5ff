import type { GatewayListener } from '#core/resource/gateway-api-gateway.ts'
import type { JudgedListener } from './listener.ts'
import { fine, wrong } from './surroundings.ts'

export type Conflict = 'ProtocolConflict' | 'HostnameConflict'

/** Listeners of one port tell their connections apart by name, and only where they speak the same at first. */
const FIRST_BYTES: Readonly<Record<string, string>> = { HTTP: 'http', HTTPS: 'tls', TLS: 'tls', TCP: 'tcp', UDP: 'udp' }
const firstBytes = (protocol: string): string => FIRST_BYTES[protocol] ?? protocol

/** Those at whose port another listens, too; UDP's ports are others. */
const ofPort = ({ port, protocol }: GatewayListener, others: readonly GatewayListener[]): readonly GatewayListener[] => others.filter((one) => one.port === port && (one.protocol === 'UDP') === (protocol === 'UDP'))

/** Why a listener cannot be told from others that came before it. */
export function conflictWith(listener: GatewayListener, others: readonly GatewayListener[]): Conflict | undefined {
  const beside = ofPort(listener, others)
  if (beside.some((one) => firstBytes(one.protocol) !== firstBytes(listener.protocol))) return 'ProtocolConflict'
  return beside.some((one) => (one.hostname ?? '') === (listener.hostname ?? '')) ? 'HostnameConflict' : undefined
}

const WORDS = 'Listener has a conflict with another listener attached to the same Gateway'

/** A listener that is not served, for another holds its place. */
export const conflicting = (judged: JudgedListener, reason: Conflict): JudgedListener => ({ ...judged, derived: undefined, conditions: { Accepted: wrong(reason, WORDS), Conflicted: fine(reason, WORDS), Programmed: wrong(reason, WORDS) } })

/**
 * A Gateway's own listeners: of those that cannot be told apart none is served, for none came first. One whose protocol nobody serves is in nobody's way.
 * gateway-api.sigs.k8s.io/reference/spec, GatewaySpec, Handling indistinct Listeners
 */
export function withConflicts(listeners: readonly JudgedListener[]): JudgedListener[] {
  const known = listeners.filter((one) => FIRST_BYTES[one.listener.protocol] !== undefined)
  return listeners.map((judged) => {
    if (!known.includes(judged)) return judged
    const { listener } = judged
    const others = known.filter((one) => one !== judged).map((one) => one.listener)
    const conflict = conflictWith(listener, others)
    if (conflict === undefined) return judged
    // TLS that ends here and TLS that is passed on, for one name.
    const reason = ofPort(listener, others).some((one) => one.protocol !== listener.protocol) ? 'ProtocolConflict' : conflict
    return { ...judged, derived: undefined, conditions: { ...judged.conditions, Accepted: wrong('Invalid', WORDS), Conflicted: fine(reason, WORDS), Programmed: wrong('Invalid', WORDS) } }
  })
}

/** Whether TLS ends at a listener, as its own certificate and its question to clients have it. */
const endsTls = ({ protocol, tls }: GatewayListener): boolean => protocol === 'HTTPS' || (protocol === 'TLS' && (tls?.mode ?? 'Terminate') === 'Terminate')

/** Tells of listeners whose names another one of the port has too: a client that keeps a connection for one may ask on it for the other (ListenerConditionOverlappingTLSConfig). */
export function withOverlaps(listeners: readonly JudgedListener[]): JudgedListener[] {
  const ending = listeners.filter((one) => one.derived !== undefined && endsTls(one.listener))
  return listeners.map((judged) => {
    if (!ending.includes(judged)) return judged
    const { listener } = judged
    const other = ending.find((one) => one !== judged && one.listener.port === listener.port && overlap(one.listener.hostname, listener.hostname))
    return other === undefined ? judged : { ...judged, conditions: { ...judged.conditions, OverlappingTLSConfig: fine('OverlappingHostnames', `The hostname overlaps with that of listener "${other.listener.name}" on port ${listener.port}`) } }
  })
}

/** Whether two hosts have a name in common; no host: all names. */
export const overlap = (a: string | undefined, b: string | undefined): boolean => a === undefined || b === undefined || meet(a, b)

/** Whether two hosts, either of which may begin with a wildcard, have a name in common. */
export function meet(a: string, b: string): boolean {
  if (a === b) return true
  if (a.startsWith('*.') && b.startsWith('*.')) return a.endsWith(b.slice(1)) || b.endsWith(a.slice(1))
  if (a.startsWith('*.')) return b.endsWith(a.slice(1))
  return b.startsWith('*.') && a.endsWith(b.slice(1))
}
