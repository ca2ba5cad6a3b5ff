import { eq, sql } from 'drizzle-orm'
import { mesh } from '../schema/mesh.ts'
import { workload } from '../schema/workload.ts'
import type { Seal } from '../seal.ts'
import type { ApplyOutcome, Mesh, Restoring, SealedRoot } from '../store.ts'
import type { Tenancy, Transaction } from '../tenancy.ts'
import { applyWithin } from './apply.ts'
import { ROOT_NOTICE } from './follow.ts'
import { createWithin, findWithin, rootsWithin, settingsWithin } from './meshes.ts'
import { CHANGE_CHANNEL, lockMesh } from './revision.ts'

/** Whoever brings a root in holds this until the end: of two that bring the same, the second sees the first's. Roots that are made here need no lock, for nobody else has their name. */
const ROOTS_LOCK = sql`select pg_advisory_xact_lock(hashtext('weft roots'))`

/**
 * A mesh of what an archive holds, all of it or nothing.
 * @throws what `about.root` throws; StoreBound; StoreConflict
 */
export function restoreMesh(tenancy: Tenancy, seal: Seal, organizationId: string, about: Restoring, nowMs: number): Promise<{ mesh: Mesh; outcome: ApplyOutcome }> {
  return tenancy.within(organizationId, async (tx) => {
    await tx.execute(ROOTS_LOCK)
    const roots = await tenancy.acrossWithin(tx, rootsWithin)
    const found = await findWithin(tx, organizationId, about.name)
    // Under its lock nobody writes into the mesh, or joins it, until this is over.
    const isEmpty = found === undefined || ((await lockMesh(tx, organizationId, found.id)).resourceCount === 0 && (await tx.$count(workload, eq(workload.meshId, found.id))) === 0)
    const root = about.root({ mesh: found, isEmpty, roots })
    const restored = found === undefined ? await created(tx, organizationId, about, root, nowMs) : root === undefined ? found : await replaced(tx, found, root)
    if (about.settings !== undefined) await settingsWithin(tx, organizationId, restored.id, about.settings)
    const outcome = await applyWithin(tx, seal, organizationId, restored.id, about.writes, about.by, nowMs, { resourcesMax: about.resourcesMax })
    return { mesh: restored, outcome }
  })
}

function created(tx: Transaction, organizationId: string, { name, trustDomain, meshesMax }: Restoring, root: SealedRoot | undefined, nowMs: number): Promise<Mesh> {
  if (root === undefined) throw new Error('a mesh that is not there has no root to keep')
  return createWithin(tx, organizationId, { name, trustDomain, meshesMax, ...root }, nowMs)
}

/** Nobody bears a certificate of the old one: nobody is in the mesh. */
async function replaced(tx: Transaction, of: Mesh, root: SealedRoot): Promise<Mesh> {
  await tx.update(mesh).set({ ...root, changedAt: sql`now()` }).where(eq(mesh.id, of.id))
  await tx.execute(sql`select pg_notify(${CHANGE_CHANNEL}, ${`${of.id} ${of.revision} ${ROOT_NOTICE}`})`)
  return { ...of, rootCertificate: root.rootCertificate }
}
