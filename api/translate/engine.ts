import type { ProxyNode } from '#core/workload/node.ts'
import type { ConnectionCustom } from './external-authorizer.ts'

/** Whose proxy it is: what only stock Envoys can do is left out for Weft's own. */
export type Engine = 'weft' | 'envoy'

export const engineOf = (node: ProxyNode): Engine => (node.engine === 'weft' ? 'weft' : 'envoy')

/** Weft's own proxy asks authorizers about requests, not about connections. */
export const connectionCustom = (engine: Engine): ConnectionCustom => (engine === 'weft' ? 'denied' : 'asked')
