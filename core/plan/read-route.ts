import { fault } from '../fault/fault.ts'
import type { RouteTable } from './plan.ts'
import type { Read } from './read.ts'

export function readRoute(_bytes: Uint8Array, version: string): Read<RouteTable> {
  return { ok: false, faults: [fault('xds.unsupported', { path: '', value: version, rule: 'is not read yet' })] }
}
