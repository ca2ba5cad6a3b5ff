import { fault, Faults } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import { StoreBound } from '#db/store.ts'
import type { Organization, Quota } from '#db/store.ts'

/** What an organization may have unless it was given other bounds. The store counts, so that these hold whichever replica writes. */
const QUOTA_DEFAULT: Required<Quota> = { meshes: 100, resourcesPerMesh: 50_000, objectBytes: 1024 * 1024 }

export const quotaOf = (organization: Pick<Organization, 'quota'>): Required<Quota> => ({ ...QUOTA_DEFAULT, ...organization.quota })

const beyond = (path: string, value: number, rule: string): Fault => fault('access.quota', { path, value, rule, hint: 'whoever runs this control plane can raise it' })

/** What the store held against a write, in the words of a quota; anything else as it is. */
export function quotaFaultOf(error: unknown): unknown {
  if (!(error instanceof StoreBound)) return error
  return new Faults([beyond('', error.wanted, error.of === 'meshes' ? `at most ${error.bound} meshes` : `at most ${error.bound} objects in a mesh`)])
}

/** Faults of objects that are larger than allowed, as JSON in UTF-16 units. */
export function sizeFaults(quota: Required<Quota>, objects: readonly { readonly path: string; readonly value: unknown; readonly resource: string }[]): Fault[] {
  return objects.flatMap(({ path, value, resource }) => {
    const size = JSON.stringify(value).length
    return size > quota.objectBytes ? [{ ...beyond(path, size, `at most ${quota.objectBytes} bytes an object`), resource }] : []
  })
}
