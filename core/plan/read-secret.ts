import { fault } from '../fault/fault.ts'
import type { SecretPlan } from './plan.ts'
import type { Read } from './read.ts'

export function readSecret(_bytes: Uint8Array, version: string): Read<SecretPlan> {
  return { ok: false, faults: [fault('xds.unsupported', { path: '', value: version, rule: 'is not read yet' })] }
}
