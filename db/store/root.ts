import { eq } from 'drizzle-orm'
import { mesh } from '../schema/mesh.ts'
import type { Tenancy } from '../tenancy.ts'
import { lockMesh } from './revision.ts'

/** Another root for a mesh; whoever asks has seen that nobody bears a certificate of the old one. */
export function replaceRoot(tenancy: Tenancy, organizationId: string, meshId: string, root: { readonly sealedRoot: Uint8Array; readonly rootCertificate: string }): Promise<void> {
  return tenancy.within(organizationId, async (tx) => {
    await lockMesh(tx, organizationId, meshId)
    await tx.update(mesh).set({ sealedRoot: root.sealedRoot, rootCertificate: root.rootCertificate }).where(eq(mesh.id, meshId))
  })
}
