import { fault } from '../fault/fault.ts'
import type { ClusterPlan } from './plan.ts'
import type { Read } from './read.ts'

export function readCluster(_bytes: Uint8Array, version: string): Read<ClusterPlan> {
  return { ok: false, faults: [fault('xds.unsupported', { path: '', value: version, rule: 'is not read yet' })] }
}
