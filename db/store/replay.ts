import { sql } from 'drizzle-orm'
import type { Replay } from '../store.ts'
import type { Tenancy } from '../tenancy.ts'
import { rowsOf } from './rows.ts'

/** A request that has not been answered for so long never will be: its replica died. */
const RUNNING_MAX_MS = 60_000

/** Of requests that come at once, on whatever replica, one begins: the insert decides. */
export function beginReplay(tenancy: Tenancy, organizationId: string, place: string, bodyHash: string, nowMs: number): Promise<Replay> {
  const at = (ms: number) => sql`${new Date(ms).toISOString()}::timestamptz`
  return tenancy.within(organizationId, async (tx): Promise<Replay> => {
    await tx.execute(sql`delete from replay where organization_id = ${organizationId} and until < ${at(nowMs)}`)
    const begun = await rowsOf<{ place: string }>(tx, sql`
      insert into replay (organization_id, place, body_hash, until) values (${organizationId}::uuid, ${place}, ${bodyHash}, ${at(nowMs + RUNNING_MAX_MS)})
      on conflict (organization_id, place) do nothing returning place`)
    if (begun.length > 0) return { is: 'begun' }
    const [row] = await rowsOf<{ body_hash: string; status: number | null; body: string | null }>(tx, sql`select body_hash, status, body from replay where organization_id = ${organizationId} and place = ${place}`)
    if (row === undefined) return { is: 'running' }
    if (row.body_hash !== bodyHash) return { is: 'other-body' }
    return row.status === null ? { is: 'running' } : { is: 'answered', status: row.status, body: row.body ?? '' }
  })
}

export async function endReplay(tenancy: Tenancy, organizationId: string, place: string, answer: { status: number; body: string } | undefined, untilMs: number): Promise<void> {
  await tenancy.within(organizationId, (tx) =>
    answer === undefined
      ? tx.execute(sql`delete from replay where organization_id = ${organizationId} and place = ${place} and status is null`)
      : tx.execute(sql`update replay set status = ${answer.status}, body = ${answer.body}, until = ${new Date(untilMs).toISOString()}::timestamptz where organization_id = ${organizationId} and place = ${place}`),
  )
}
