import type { ProxyNode } from '#core/workload/node.ts'
import type { ConnectionCustom } from './external-authorizer.ts'

/** Whose proxy it is: what only stock Envoys can do is left out for Weft's own. */
export type Engine = 'weft' | 'envoy'

export const engineOf = (node: ProxyNode): Engine => (node.engine === 'weft' ? 'weft' : 'envoy')

/** Whether a version is older than another, number by number: `1.36.4` than `1.40.0`. */
export function isOlder(version: string, than: string): boolean {
  const numbers = version.split(/[^\d]+/).map(Number)
  for (const [index, wanted] of than.split('.').map(Number).entries()) {
    const number = numbers[index] ?? 0
    if (number !== wanted) return number < wanted
  }
  return false
}

/** Weft's own proxy asks authorizers about requests, not about connections. */
export const connectionCustom = (engine: Engine): ConnectionCustom => (engine === 'weft' ? 'denied' : 'asked')
