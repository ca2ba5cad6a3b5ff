import { sql } from 'drizzle-orm'
import type { Seal } from '../seal.ts'
import { StoreBound } from '../store.ts'
import type { ApplyOutcome, Authorship, ResourceWrite } from '../store.ts'
import type { Tenancy, Transaction } from '../tenancy.ts'
import { atRevision, judgeWrites, standingsSaid } from './judgement.ts'
import type { Standing } from './judgement.ts'
import type { RecentChanges } from './recent-changes.ts'
import { keyText, readResourceRow, resourceColumns } from './resource-row.ts'
import type { ResourceRow } from './resource-row.ts'
import { cutLogWithin, isTimeToCut, lockMesh } from './revision.ts'
import { rowsOf } from './rows.ts'
import type { WriteLanes } from './write-lanes.ts'
import { writeStatement } from './write-statement.ts'
import type { Written } from './write-statement.ts'

interface Bounds {
  readonly dryRun?: boolean
  readonly resourcesMax?: number
}

/** An outcome and what it changed, for those who follow the mesh. */
interface Applied {
  readonly outcome: ApplyOutcome
  readonly changed: readonly Standing[]
}

/**
 * All writes or none, as one revision; none is taken when nothing differs. Later writes of one batch see the earlier ones. A constant number of statements, however many writes: one, where every writer says
 * what it has read, and it still stands.
 * @throws StoreConflict for the first write whose expectation does not hold; StoreBound when the mesh would grow beyond its bound
 */
export async function applyResources(
  { tenancy, seal, lanes, recent }: { tenancy: Tenancy; seal: Seal; lanes: WriteLanes; recent: RecentChanges },
  organizationId: string, meshId: string, writes: readonly ResourceWrite[], by: Authorship, nowMs: number, options: Bounds = {},
): Promise<ApplyOutcome> {
  const { outcome, changed } =
    (options.dryRun ? undefined : await applySaid(lanes, organizationId, meshId, writes, by, nowMs, options)) ??
    (await tenancy.within(organizationId, (tx) => applyLocked(tx, seal, organizationId, meshId, writes, by, nowMs, options)))
  if (changed.length > 0 && !options.dryRun) recent.put(meshId, outcome.revision, changed)
  return outcome
}

/** As `applyResources`, in a transaction that is under way. */
export async function applyWithin(tx: Transaction, seal: Seal, organizationId: string, meshId: string, writes: readonly ResourceWrite[], by: Authorship, nowMs: number, options: Bounds): Promise<ApplyOutcome> {
  return (await applyLocked(tx, seal, organizationId, meshId, writes, by, nowMs, options)).outcome
}

/** Undefined where not all writers say what they have read, where that is not so any more, and where nothing would change: that is to be found out under the mesh's lock. */
async function applySaid(lanes: WriteLanes, organizationId: string, meshId: string, writes: readonly ResourceWrite[], by: Authorship, nowMs: number, { resourcesMax }: Bounds): Promise<Applied | undefined> {
  const standings = standingsSaid(writes)
  if (standings === undefined) return undefined
  const judged = judgeWrites(standings, writes, 0, nowMs)
  if (judged.changed.length === 0) return undefined
  const written = await lanes.write({ organizationId, meshId, changed: judged.changed, by, nowMs, resourcesMax })
  if (written.outcome === 'stale') return undefined
  notBeyond(written, resourcesMax)
  const { results, changed } = atRevision(judged, written.new_revision)
  return { outcome: { revision: written.new_revision, results }, changed }
}

async function applyLocked(tx: Transaction, seal: Seal, organizationId: string, meshId: string, writes: readonly ResourceWrite[], by: Authorship, nowMs: number, { dryRun, resourcesMax }: Bounds): Promise<Applied> {
  const locked = await lockMesh(tx, organizationId, meshId)
  const next = locked.revision + 1
  const { results, changed } = judgeWrites(await readStandings(tx, seal, organizationId, meshId, writes), writes, next, nowMs)
  if (changed.length === 0) return { outcome: { revision: locked.revision, results }, changed }
  if (dryRun) {
    const held = changed.reduce((sum, { before, now }) => sum + (now ? 1 : 0) - (before ? 1 : 0), locked.resourceCount)
    if (resourcesMax !== undefined && held > resourcesMax && held > locked.resourceCount) throw new StoreBound('resources', resourcesMax, held)
    return { outcome: { revision: next, results }, changed }
  }
  const [written] = await rowsOf<Written>(tx, writeStatement(seal, { organizationId, meshId, changed, by, nowMs, resourcesMax }))
  if (written === undefined || written.outcome === 'stale') throw new Error('nobody writes to a mesh that is locked')
  notBeyond(written, resourcesMax)
  if (isTimeToCut(written.logged_before, written.logged)) await cutLogWithin(tx, organizationId, meshId)
  return { outcome: { revision: next, results }, changed }
}

function notBeyond({ outcome, held }: Written, resourcesMax: number | undefined): void {
  if (outcome === 'bound') throw new StoreBound('resources', resourcesMax ?? 0, held)
}

async function readStandings(tx: Transaction, seal: Seal, organizationId: string, meshId: string, writes: readonly ResourceWrite[]): Promise<Map<string, Standing>> {
  const keys = new Map(writes.map(({ key }) => [keyText(key), key]))
  const wanted = JSON.stringify([...keys.values()].map((key) => ({ g: key.group, k: key.kind, ns: key.namespace, n: key.name })))
  // The limit makes it one look into the index for each key: as a plain join, a planner without statistics reads the whole mesh.
  const rows = await rowsOf<ResourceRow>(tx, sql`
    select ${resourceColumns('r')} from json_to_recordset(${wanted}::json) as w (g text, k text, ns text, n text)
    cross join lateral (
      select * from resource r where r.organization_id = ${organizationId} and r.mesh_id = ${meshId} and r.api_group = w.g and r.kind = w.k and r.namespace = w.ns and r.name = w.n limit 1
    ) r`)
  const before = new Map(rows.map((row) => readResourceRow(seal, meshId, row)).map((stored) => [keyText(stored.key), stored]))
  // Keys in one order for everyone, so that the log of one batch reads the same from every database.
  return new Map([...keys].map(([text, key]) => [text, { key, before: before.get(text), now: before.get(text) }]))
}
