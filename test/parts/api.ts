import { ask } from '#api/simulate/ask.ts'
import { worldOf } from '#api/simulate/world.ts'
import { MeshModel } from '#api/model/mesh-model.ts'
import { impactOn } from '#api/observe/impact.ts'
import { MeshViews } from '#api/translate/view.ts'
import { serve } from '@hono/node-server'
import type { Hono } from 'hono'
import type { AddressInfo } from 'node:net'
import { systemDoors } from '#core/time/system.ts'
import { openStore } from '#db/open.ts'
import type { Mesh, Organization, Role, Store } from '#db/store.ts'
import { makeRoot, type Root } from '#api/ca/root.ts'
import { hashCredential, makeCredential } from '#api/access/credential.ts'
import { AuditLog } from '#api/access/audit.ts'
import { RequestRates } from '#api/access/enter.ts'
import { LoginRates } from '#api/access/login-rates.ts'
import { Oidc } from '#api/access/oidc/oidc.ts'
import { LiveStreams } from '#api/access/streams.ts'
import { TurnedAway } from '#api/access/turned-away.ts'
import type { ApiDoors } from '#api/rest/doors.ts'

/** The HTTP APIs over a real store in memory; only what proxies and the model would tell stands still. */
export interface ApiUnderTest {
  readonly store: Store
  readonly doors: ApiDoors
  readonly organization: Organization
  readonly mesh: Mesh
  readonly bootstrapKey: string
  /** Errors that were answered with 500. */
  readonly unexpected: unknown[]
  key(role: Role, of?: { organization?: Organization; mesh?: Mesh }): Promise<string>
  close(): Promise<void>
}

/** @param database any URL of an empty one; in memory unless told */
export async function openApi(overrides: Partial<ApiDoors> = {}, database = 'pglite:memory'): Promise<ApiUnderTest> {
  const store = await openStore(database, { doors: systemDoors, sealKey: Buffer.alloc(32, 7) })
  const bootstrap = makeCredential('key')
  const unexpected: unknown[] = []
  const roots = new Map<string, Root>()
  const sealed = new Map<string, Root>()
  const createMesh = async (organizationId: string, name: string, trustDomain: string, meshesMax?: number): Promise<Mesh> => {
    const root = makeRoot({ organization: trustDomain, trustDomain, nowMs: systemDoors.clock.wallMs() })
    const made = await store.createMesh(organizationId, { name, trustDomain, ...(meshesMax === undefined ? {} : { meshesMax }), sealedRoot: new Uint8Array([1]), rootCertificate: root.certificate })
    roots.set(made.id, root)
    return made
  }
  const audit = new AuditLog(store, (error) => unexpected.push(error))
  const streams = new LiveStreams(store, systemDoors.clock, (error) => unexpected.push(error))
  const doors: ApiDoors = {
    store,
    audit,
    turnedAway: new TurnedAway(),
    rates: { requests: new RequestRates(() => systemDoors.clock.wallMs()), logins: new LoginRates(systemDoors.clock) },
    streams,
    oidc: new Oidc(store, { sealKey: Buffer.alloc(32, 7), privateNetworks: true }, () => systemDoors.clock.wallMs(), () => doors.publicUrl()),
    createMesh,
    admit: async () => [],
    proxies: () => [],
    carriers: () => [],
    faults: () => [],
    pushTimes: () => undefined,
    proxyConfig: async () => undefined,
    whenSynced: async (_meshId, revision) => ({ revision, acknowledged: 0, p50Ms: null, p99Ms: null, stragglers: [], rejected: [], timedOut: false }),
    async explain(meshId, asked) {
      const rows = await store.loadMesh(meshId)
      return ask(worldOf({ objects: rows?.resources.map((one) => one.object) ?? [], workloads: rows?.workloads ?? [] }), asked, undefined, { nowMs: systemDoors.clock.wallMs() })
    },
    archives: {
      rootOf: async (meshId) => roots.get(meshId),
      seal(root, trustDomain) {
        const { certificate, privateKey } = root ?? makeRoot({ organization: trustDomain, trustDomain, nowMs: systemDoors.clock.wallMs() })
        sealed.set(certificate, { certificate, privateKey })
        return { rootCertificate: certificate, sealedRoot: new Uint8Array([1]) }
      },
      took(of) {
        const root = sealed.get(of.rootCertificate)
        if (root !== undefined) roots.set(of.id, root)
      },
    },
    async impact(of, results) {
      const rows = await store.loadMesh(of.id)
      const model = new MeshModel({ trustDomain: of.trustDomain })
      const views = new MeshViews(model)
      views.apply((rows?.resources ?? []).map((stored) => ({ of: 'resource', revision: stored.revision, key: stored.key, stored })), rows?.revision ?? 0)
      return impactOn({ id: of.id, organizationId: of.organizationId, model, views }, results, [], [])
    },
    topology: async () => ({ atMs: 0, windowMs: 10_000, revision: 0, nodes: [], edges: [] }),
    follow: () => () => {},
    statusOf: () => undefined,
    wallMs: () => systemDoors.clock.wallMs(),
    bootstrapKeyHash: hashCredential('key', bootstrap.secret),
    publicUrl: () => 'http://127.0.0.1:8080',
    unexpected: (error) => void unexpected.push(error),
    ...overrides,
  }
  const organization = await store.createOrganization('demo')
  const mesh = await createMesh(organization.id, 'shop', 'cluster.local')
  return {
    store,
    doors,
    organization,
    mesh,
    bootstrapKey: bootstrap.secret,
    unexpected,
    async key(role, of = {}) {
      const { secret, hash } = makeCredential('key')
      await store.createApiKey((of.organization ?? organization).id, { name: `${role}-key`, hash, role, meshId: of.mesh?.id ?? null, expiresAtMs: null })
      return secret
    },
    async close() {
      await audit.settled()
      await streams.close()
      await store.close()
    },
  }
}

/** For tests that ask more than anyone may: each look at the clock is a thousand seconds later, so that every bucket is full. */
export function unboundedRates(): NonNullable<ApiDoors['rates']> {
  let nowMs = 0
  const { clock } = systemDoors
  const wallMs = (): number => (nowMs += 1e6)
  return { requests: new RequestRates(wallMs), logins: new LoginRates({ wallMs, monotonicMs: () => clock.monotonicMs(), after: (delayMs, fire) => clock.after(delayMs, fire), every: (periodMs, fire) => clock.every(periodMs, fire) }) }
}

/** Serves an app on a free port of loopback. */
export async function serveApp(app: Hono): Promise<{ url: string; close(): Promise<void> }> {
  const { server, port } = await new Promise<{ server: ReturnType<typeof serve>; port: number }>((resolve) => {
    const started: ReturnType<typeof serve> = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0, serverOptions: { maxHeaderSize: 256 * 1024 } }, (address: AddressInfo) => resolve({ server: started, port: address.port }))
  })
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error?: Error) => (error ? reject(error) : resolve()))
        if ('closeAllConnections' in server) server.closeAllConnections()
      }),
  }
}
