import { fault } from '../fault/fault.ts'
import type { EndpointsPlan } from './plan.ts'
import type { Read } from './read.ts'

export function readEndpoints(_bytes: Uint8Array, version: string): Read<EndpointsPlan> {
  return { ok: false, faults: [fault('xds.unsupported', { path: '', value: version, rule: 'is not read yet' })] }
}
