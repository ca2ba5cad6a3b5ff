import { eq, sql } from 'drizzle-orm'
import { mesh } from '../schema/mesh.ts'
import type { Tenancy } from '../tenancy.ts'
import { ROOT_NOTICE } from './follow.ts'
import { CHANGE_CHANNEL, lockMesh } from './revision.ts'

/** Another root for a mesh; whoever asks has seen that nobody bears a certificate of the old one. */
export function replaceRoot(tenancy: Tenancy, organizationId: string, meshId: string, root: { readonly sealedRoot: Uint8Array; readonly rootCertificate: string }): Promise<void> {
  return tenancy.within(organizationId, async (tx) => {
    const { revision } = await lockMesh(tx, organizationId, meshId)
    await tx.update(mesh).set({ sealedRoot: root.sealedRoot, rootCertificate: root.rootCertificate, changedAt: sql`now()` }).where(eq(mesh.id, meshId))
    await tx.execute(sql`select pg_notify(${CHANGE_CHANNEL}, ${`${meshId} ${revision} ${ROOT_NOTICE}`})`)
  })
}
