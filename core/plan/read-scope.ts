import { fault } from '../fault/fault.ts'
import type { ScopePlan } from './plan.ts'
import type { Read } from './read.ts'

export function readScope(_bytes: Uint8Array, version: string): Read<ScopePlan> {
  return { ok: false, faults: [fault('xds.unsupported', { path: '', value: version, rule: 'is not read yet' })] }
}
