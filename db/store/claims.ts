import { type SQL, sql } from 'drizzle-orm'
import type { Workload } from '#core/workload/workload.ts'
import type { WorkloadKey, WorkloadLease } from '../store.ts'
import type { Transaction } from '../tenancy.ts'
import { rowsOf } from './rows.ts'

/** Places as they are stored: with their mesh, so that the index finds those of one. */
export const placesIn = (meshId: string, places: readonly string[]): SQL =>
  sql`array(select json_array_elements_text(${JSON.stringify(places.map((place) => `${meshId} ${place}`))}::json))`

/** Which workload of another account, alive at another replica, has the name or one of the places that one claims. */
export async function takenBy(tx: Transaction, organizationId: string, meshId: string, { namespace, name, serviceAccount }: Workload, { holder, places = [] }: WorkloadLease): Promise<WorkloadKey | undefined> {
  const alive = sql`organization_id = ${organizationId} and mesh_id = ${meshId} and held and lease_until > now() and lease_holder <> ${holder} and (namespace <> ${namespace} or workload->>'serviceAccount' <> ${serviceAccount})`
  const [row] = await rowsOf<{ namespace: string; name: string }>(tx, sql`
    select namespace, name from workload where ${alive} and namespace = ${namespace} and name = ${name}
    union all
    select namespace, name from workload where ${alive} and places && ${placesIn(meshId, places)}
    limit 1`)
  return row
}
