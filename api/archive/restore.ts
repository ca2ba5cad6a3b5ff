import type { RestoreResponse } from '#core/contract/archive.ts'
import { meshSettings } from '#core/contract/tenancy.ts'
import { type Fault, fault, Faults } from '#core/fault/fault.ts'
import { parseObject } from '#core/resource/parse.ts'
import type { Authorship, MeshSettings, Organization, Quota, ResourceWrite } from '#db/store.ts'
import { issuerNameOf } from '../ca/root.ts'
import { keyOf } from '../apply/apply.ts'
import type { ApiDoors } from '../rest/doors.ts'
import { quotaFaultOf, sizeFaults } from '../access/quota.ts'
import type { ArchivedMesh } from './payload.ts'

/**
 * Makes a mesh of what an archive holds, with the archive's root: proxies that trust the old mesh trust the new one, and it knows their certificates. Beside the mesh that it was made of, the new one has a
 * root of its own. One transaction: what is refused leaves nothing behind, and of two archives with one root only one mesh gets it.
 * @throws Faults with everything in it that this version would refuse; 'object.conflict' when the mesh is there and not empty
 */
export async function restoreMesh(doors: Pick<ApiDoors, 'store' | 'archives' | 'wrote'>, organization: Organization, name: string, archived: ArchivedMesh, by: Authorship, quota: Required<Quota>): Promise<RestoreResponse> {
  const writes = writesOf(archived, quota)
  const { mesh: of } = archived
  const wanted = nameOf(of.rootCertificate)
  const settings = meshSettings.loose().safeParse(of.settings)
  const { mesh, outcome } = await doors.store
    .restoreMesh(organization.id, {
      name,
      trustDomain: of.trustDomain,
      meshesMax: quota.meshes,
      resourcesMax: quota.resourcesPerMesh,
      settings: settings.success ? (settings.data as MeshSettings) : undefined,
      writes,
      by,
      root({ mesh: found, isEmpty, roots }) {
        if (found !== undefined && found.trustDomain !== of.trustDomain) throw notFor(name, `a mesh of the trust domain ${of.trustDomain}; this one is of ${found.trustDomain}`)
        if (!isEmpty) throw notFor(name, 'a mesh that is not there, or has neither objects nor workloads')
        // A certificate says which mesh its bearer is of by the root that signed it, so two meshes beside each other never share one; nor its name,
        // for TLS finds a root by that: a stranger's of the same name would keep everybody of the other mesh out.
        const isTaken = [...roots].some(([id, certificate]) => id !== found?.id && issuerNameOf(certificate) === wanted)
        if (isTaken && found !== undefined) return undefined
        return doors.archives.seal(isTaken ? undefined : { certificate: of.rootCertificate, privateKey: of.rootKey }, of.trustDomain)
      },
    })
    .catch((error: unknown) => {
      throw quotaFaultOf(error)
    })
  doors.archives.took(mesh)
  const { revision, results } = outcome
  doors.wrote?.(results)
  return {
    mesh: mesh.name,
    root: mesh.rootCertificate === archived.mesh.rootCertificate ? 'archived' : 'own',
    trustDomain: mesh.trustDomain,
    revision,
    objects: writes.length,
    secrets: writes.filter(({ key }) => key.kind === 'Secret' && key.group === '').length,
    from: { mesh: archived.mesh.name, revision: archived.mesh.revision, exportedAt: archived.mesh.exportedAt },
  }
}

function writesOf({ objects }: ArchivedMesh, quota: Required<Quota>): ResourceWrite[] {
  const faults: Fault[] = []
  const writes = objects.flatMap(({ object, createdAtMs }): ResourceWrite[] => {
    const parsed = parseObject(object)
    faults.push(...parsed.faults.filter((one) => one.severity === 'error'))
    return parsed.object === undefined ? [] : [{ key: keyOf(parsed.kind, parsed.object), object, createdAtMs, expectedVersion: '' }]
  })
  faults.push(...sizeFaults(quota, writes.map(({ key, object }) => ({ path: '', value: object, resource: `${key.kind}/${key.namespace}/${key.name}` }))))
  if (faults.length > 0) throw new Faults(faults)
  return writes
}

function nameOf(rootCertificate: string): string {
  try {
    return issuerNameOf(rootCertificate)
  } catch {
    // What is no certificate is nobody's root.
    throw new Faults([fault('archive.sealed', { path: 'rootCertificate', rule: 'a root certificate with its own private key' })])
  }
}

const notFor = (mesh: string, rule: string): Faults => new Faults([fault('object.conflict', { path: 'mesh', value: mesh, rule, hint: 'restore into another name' })])
