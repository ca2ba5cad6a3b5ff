import { describeFault, type Fault } from '#core/fault/fault.ts'

/** A resource that was not taken, and all that is wrong with it. */
export interface Rejected {
  readonly name: string
  readonly faults: readonly Fault[]
}

/** gRPC carries a message of this size without trouble, and a person reads no more. */
const MESSAGE_CHARACTERS_MAX = 16_000

/** The words of a NACK: a line a resource, all its faults. `outbound|80||reviews: lb_policy: 99: is not supported` */
export function describeRejections(rejected: readonly Rejected[]): string {
  const text = rejected.map(({ name, faults }) => `${name}: ${faults.map(describeFault).join('; ')}`).join('\n')
  return text.length <= MESSAGE_CHARACTERS_MAX ? text : `${text.slice(0, MESSAGE_CHARACTERS_MAX)}… (${rejected.length} resources refused)`
}
