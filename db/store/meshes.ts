import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { and, eq, gt, sql } from 'drizzle-orm'
import { mesh } from '../schema/mesh.ts'
import { organization } from '../schema/organization.ts'
import { StoreBound } from '../store.ts'
import type { Mesh, MeshSettings, Organization, Page, Paged } from '../store.ts'
import { isUuid } from '../tenancy.ts'
import type { Tenancy, Transaction } from '../tenancy.ts'
import { readOrganization } from './organizations.ts'
import { paged, readCursor, rowsWanted } from './page.ts'
import { ROOT_NOTICE } from './follow.ts'
import { CHANGE_CHANNEL, commitRevision, lockMesh } from './revision.ts'

/** What weft_lookup may read too: all but the sealed root and the log's bookkeeping. */
export const meshColumns = {
  id: mesh.id,
  organizationId: mesh.organizationId,
  name: mesh.name,
  trustDomain: mesh.trustDomain,
  revision: mesh.revision,
  rootCertificate: mesh.rootCertificate,
  settings: mesh.settings,
  createdAt: mesh.createdAt,
}

interface MeshRow extends Omit<Mesh, 'createdAtMs'> {
  readonly createdAt: Date
}

export const readMesh = ({ createdAt, ...row }: MeshRow): Mesh => ({ ...row, createdAtMs: createdAt.getTime() })

interface NewMesh {
  readonly name: string
  readonly trustDomain: string
  readonly sealedRoot: Uint8Array
  readonly rootCertificate: string
  readonly meshesMax?: number
}

/** @throws StoreDuplicate; StoreBound */
export const createMesh = (tenancy: Tenancy, organizationId: string, given: NewMesh, nowMs: number): Promise<Mesh> => tenancy.within(organizationId, (tx) => createWithin(tx, organizationId, given, nowMs))

/** As `createMesh`, in a transaction that is under way. */
export async function createWithin(tx: Transaction, organizationId: string, { meshesMax, ...about }: NewMesh, nowMs: number): Promise<Mesh> {
  if (meshesMax !== undefined) {
    // The organization's row is the lock: of two that create at once, the second counts the first's.
    await tx.select({ id: organization.id }).from(organization).where(eq(organization.id, organizationId)).for('update')
    const meshes = await tx.$count(mesh, eq(mesh.organizationId, organizationId))
    if (meshes >= meshesMax) throw new StoreBound('meshes', meshesMax, meshes + 1)
  }
  const row = { id: randomUUID(), organizationId, ...about, createdAt: new Date(nowMs) }
  const [created] = await tx.insert(mesh).values(row).returning(meshColumns)
  if (!created) throw new Error('an insert answered no row')
  await tx.execute(sql`select pg_notify(${CHANGE_CHANNEL}, ${`${row.id} 0 ${ROOT_NOTICE}`})`)
  return readMesh(created)
}

export const meshByName = (tenancy: Tenancy, organizationId: string, name: string): Promise<Mesh | undefined> => tenancy.within(organizationId, (tx) => findWithin(tx, organizationId, name), { single: true })

export async function findWithin(tx: Transaction, organizationId: string, name: string): Promise<Mesh | undefined> {
  const [row] = await tx.select(meshColumns).from(mesh).where(and(eq(mesh.organizationId, organizationId), eq(mesh.name, name)))
  return row && readMesh(row)
}

/** An organization and one of its meshes by their names, in one look; undefined when the names do not lead from this organization to a mesh of it. */
export function meshNamed(tenancy: Tenancy, organizationId: string, names: { readonly organization: string; readonly mesh: string }): Promise<{ organization: Organization; mesh: Mesh } | undefined> {
  return tenancy.within(organizationId, async (tx) => {
    const [row] = await tx
      .select({ organization, mesh: meshColumns })
      .from(mesh)
      .innerJoin(organization, eq(organization.id, mesh.organizationId))
      .where(and(eq(mesh.organizationId, organizationId), eq(mesh.name, names.mesh), eq(organization.name, names.organization)))
    return row && { organization: readOrganization(row.organization), mesh: readMesh(row.mesh) }
  }, { single: true })
}

export async function meshById(tenancy: Tenancy, meshId: string): Promise<Mesh | undefined> {
  if (!isUuid(meshId)) return undefined
  const [row] = await tenancy.across((tx) => tx.select(meshColumns).from(mesh).where(eq(mesh.id, meshId)), { single: true })
  return row && readMesh(row)
}

export function listMeshes(tenancy: Tenancy, organizationId: string, page: Page): Promise<Paged<Mesh>> {
  return tenancy.within(organizationId, async (tx) => {
    const [after] = readCursor(page, 1) ?? []
    const rows = await tx
      .select(meshColumns)
      .from(mesh)
      .where(and(eq(mesh.organizationId, organizationId), after === undefined ? undefined : gt(mesh.name, String(after))))
      .orderBy(mesh.name)
      .limit(rowsWanted(page))
    return paged(page, rows, readMesh, (row) => [row.name])
  })
}

export async function sealedRoot(tenancy: Tenancy, meshId: string): Promise<Uint8Array | undefined> {
  const organizationId = await tenancy.organizationOf(meshId)
  if (organizationId === undefined) return undefined
  const [row] = await tenancy.within(organizationId, (tx) => tx.select({ sealedRoot: mesh.sealedRoot }).from(mesh).where(eq(mesh.id, meshId)))
  return row?.sealedRoot
}

export const rootCertificates = (tenancy: Tenancy): Promise<Map<string, string>> => tenancy.across(rootsWithin)

/** Of every tenant: only for the role that looks across them. */
export async function rootsWithin(tx: Transaction): Promise<Map<string, string>> {
  const rows = await tx.select({ id: mesh.id, rootCertificate: mesh.rootCertificate }).from(mesh)
  return new Map(rows.map((row) => [row.id, row.rootCertificate]))
}

/** Replaces them all. Equal settings take no revision. */
export function setMeshSettings(tenancy: Tenancy, organizationId: string, meshId: string, given: MeshSettings | ((before: Mesh) => MeshSettings)): Promise<Mesh> {
  return tenancy.within(organizationId, (tx) => settingsWithin(tx, organizationId, meshId, given))
}

/** As `setMeshSettings`, in a transaction that is under way. */
export async function settingsWithin(tx: Transaction, organizationId: string, meshId: string, given: MeshSettings | ((before: Mesh) => MeshSettings)): Promise<Mesh> {
  const locked = await lockMesh(tx, organizationId, meshId)
  const before = await readOne(tx, meshId)
  const wanted: MeshSettings = JSON.parse(JSON.stringify(typeof given === 'function' ? given(before) : given))
  if (isDeepStrictEqual(before.settings, wanted)) return before
  await tx.update(mesh).set({ settings: wanted }).where(eq(mesh.id, meshId))
  const revision = await commitRevision(tx, locked, [{ of: 'settings', settings: wanted }])
  return { ...before, settings: wanted, revision }
}

async function readOne(tx: Transaction, meshId: string): Promise<Mesh> {
  const [row] = await tx.select(meshColumns).from(mesh).where(eq(mesh.id, meshId))
  if (!row) throw new Error(`the organization has no mesh ${meshId}`)
  return readMesh(row)
}
