import { archiveRequest, restoreRequest, restoreResponse } from '#core/contract/archive.ts'
import { permit } from '../access/check.ts'
import { quotaOf } from '../access/quota.ts'
import { readPayload, writePayload } from '../archive/payload.ts'
import { restoreMesh } from '../archive/restore.ts'
import { openArchive, sealStream } from '../archive/sealed-stream.ts'
import { MESH, meshTarget } from './meshes.ts'
import { organizationOf } from './organizations.ts'
import type { Route } from './route.ts'

export const archiveRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: `${MESH}/archive`,
    summary: 'The mesh with its root key and Secrets as one sealed archive, by a file key that the caller wraps. For owners alone.',
    body: archiveRequest,
    answers: { status: 200, type: 'application/vnd.weft.archive' },
    async handle(request) {
      const { mesh } = await meshTarget(request, 'admin')
      const { header, key } = await request.body(archiveRequest)
      const { store, archives, wallMs } = request.doors
      const [rows, root] = await Promise.all([store.loadMesh(mesh.id), archives.rootOf(mesh.id)])
      if (rows === undefined || root === undefined) throw new Error('the mesh that is archived is gone')
      const { name, trustDomain, settings } = mesh
      const payload = writePayload({
        mesh: { name, trustDomain, settings: { ...settings }, rootCertificate: root.certificate, rootKey: root.privateKey, revision: rows.revision, exportedAt: new Date(wallMs()).toISOString() },
        objects: rows.resources.map(({ object, createdAtMs }) => ({ object, createdAtMs })),
      })
      return new Response(streamOf(sealStream(Buffer.from(key, 'base64'), header, payload)), { headers: { 'content-type': 'application/vnd.weft.archive' } })
    },
  },
  {
    method: 'POST',
    path: '/api/v1/organizations/{organization}/archives',
    summary: 'Makes a mesh of a sealed archive, with the root, the Secrets and the configuration in it.',
    body: restoreRequest,
    answers: { status: 200, schema: restoreResponse },
    async handle(request) {
      const { actor, organization } = await organizationOf(request)
      permit(actor, 'admin')
      const { mesh, archive, key, message } = await request.body(restoreRequest)
      const quota = quotaOf(organization)
      const archived = readPayload(openArchive(Buffer.from(key, 'base64'), Buffer.from(archive, 'base64')), quota.resourcesPerMesh)
      const by = { author: actor.name, message: message ?? `import of ${archived.mesh.name} at revision ${archived.mesh.revision}` }
      return { json: await restoreMesh(request.doors, organization, mesh, archived, by, quota) }
    },
  },
]

/** A piece when the reader has taken the one before: an archive is never whole in memory. */
function streamOf(pieces: AsyncGenerator<Buffer>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await pieces.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    async cancel() {
      await pieces.return(undefined)
    },
  })
}
