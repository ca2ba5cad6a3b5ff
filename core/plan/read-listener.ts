import { fault } from '../fault/fault.ts'
import type { ListenerPlan } from './plan.ts'
import type { Read } from './read.ts'

export function readListener(_bytes: Uint8Array, version: string): Read<ListenerPlan> {
  return { ok: false, faults: [fault('xds.unsupported', { path: '', value: version, rule: 'is not read yet' })] }
}
