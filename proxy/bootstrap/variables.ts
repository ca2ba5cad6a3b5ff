import { isIP } from 'node:net'
import { type Fault, fault } from '#core/fault/fault.ts'
import type { SocketAddress } from '#core/workload/workload.ts'

/** The environment as a process has it. */
export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads named variables and gathers every fault, so that whoever starts a proxy hears of all mistakes at once.
 * A value is never repeated for a variable that holds a secret.
 */
export class Variables {
  readonly faults: Fault[] = []
  readonly #environment: Environment

  constructor(environment: Environment) {
    this.#environment = environment
  }

  /** Undefined when unset or empty: `WEFT_X=` in a manifest means "not set". */
  text(name: string): string | undefined {
    const value = this.#environment[name]
    return value === undefined || value === '' ? undefined : value
  }

  required(name: string, hint: string): string {
    const value = this.text(name)
    if (value === undefined) this.faults.push(fault('bootstrap.variable', { path: name, rule: 'must be set', hint }))
    return value ?? ''
  }

  /** Whole seconds, as milliseconds. */
  seconds(name: string, unset: number, max: number): number {
    const value = this.text(name)
    if (value === undefined) return unset * 1000
    const seconds = Number(value)
    if (Number.isFinite(seconds) && seconds >= 0 && seconds <= max) return seconds * 1000
    this.refuse(name, value, `a number of seconds, 0..${max}`)
    return unset * 1000
  }

  /** A whole number. */
  count(name: string, unset: number): number {
    const value = this.text(name)
    if (value === undefined) return unset
    const count = Number(value)
    if (Number.isSafeInteger(count) && count >= 0) return count
    this.refuse(name, value, 'a whole number, 0 for no bound')
    return unset
  }

  /** `127.0.0.1:15000`, `[::1]:15000`; the host must be an address, for it is bound. */
  socketAddress(name: string, unset: SocketAddress | undefined): SocketAddress | undefined {
    const value = this.text(name)
    if (value === undefined) return unset
    const parsed = parseSocketAddress(value)
    if (parsed === undefined) this.refuse(name, value, 'ADDRESS:PORT with an IP address')
    return parsed ?? unset
  }

  refuse(name: string, value: string | undefined, rule: string, hint?: string): void {
    this.faults.push(fault('bootstrap.variable', { path: name, rule, ...(value !== undefined && { value }), ...(hint !== undefined && { hint }) }))
  }
}

export function parseSocketAddress(text: string): SocketAddress | undefined {
  const parts = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  const address = parts?.[1] ?? parts?.[2] ?? ''
  const port = Number(parts?.[3])
  return parts !== null && isIP(address) !== 0 && port <= 65_535 ? { address, port } : undefined
}
