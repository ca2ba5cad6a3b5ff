import { credentials } from '@grpc/grpc-js'
import { startControlPlane } from '#api/main.ts'
import type { ControlPlane, ControlPlaneOptions } from '#api/control-plane.ts'
import { jsonLog } from '#api/log.ts'
import { RawClient } from '#api/serve/raw-client.ts'
import { systemDoors } from '#core/time/system.ts'
import { storeFolder } from './store-folder.ts'
import type { Mesh } from '#db/store.ts'

/** A whole control plane in this process, with one mesh and the ways that people and proxies have to it. */
export interface PlaneUnderTest {
  readonly plane: ControlPlane
  readonly mesh: Mesh
  /** All log lines so far, of every level. */
  readonly logs: string[]
  /** A request to REST with an owner's key; a body makes it a POST of JSON. */
  rest(path: string, body?: unknown): Promise<Response>
  /** Objects, applied; answers the revision. */
  apply(...objects: readonly object[]): Promise<number>
  /** A client of discovery over TLS with a join token for `NAMESPACE/SERVICE_ACCOUNT`. */
  proxy(namespace: string, serviceAccount: string): Promise<{ client: RawClient; bearer: string }>
  close(): Promise<void>
}

export async function startPlane(options: Partial<ControlPlaneOptions> = {}): Promise<PlaneUnderTest> {
  const logs: string[] = []
  const folder = options.database === undefined ? await storeFolder() : undefined
  const plane = await startControlPlane({
    doors: systemDoors,
    log: jsonLog((line) => logs.push(line), () => systemDoors.clock.wallMs(), 'debug'),
    database: folder?.url ?? '',
    sealKey: Buffer.alloc(32, 7),
    address: '127.0.0.1',
    restPort: 0,
    xdsPort: 0,
    monitoringPort: 0,
    xdsNames: ['127.0.0.1', 'localhost'],
    sole: true,
    ...options,
  })
  const organization = await plane.ensureOrganization('demo')
  const mesh = await plane.ensureMesh(organization, 'shop', 'cluster.local')
  const key = await plane.createApiKey(organization, 'tester', 'owner')
  const clients: RawClient[] = []
  const rest = (path: string, body?: unknown): Promise<Response> =>
    fetch(`http://127.0.0.1:${plane.rest.port}/api/v1/organizations/demo/meshes/shop${path}`, {
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    })
  return {
    plane,
    mesh,
    logs,
    rest,
    async apply(...objects) {
      const response = await rest('/apply', { objects })
      const text = await response.text()
      if (response.status !== 200) throw new Error(`apply: ${response.status} ${text}`)
      return (JSON.parse(text) as { revision: number }).revision
    },
    async proxy(namespace, serviceAccount) {
      const bearer = await plane.createJoinToken(mesh, namespace, serviceAccount, 3_600_000)
      const client = new RawClient(`127.0.0.1:${plane.xds.port}`, credentials.createSsl(Buffer.from(plane.xds.rootCertificate)))
      clients.push(client)
      return { client, bearer }
    },
    async close() {
      for (const client of clients) client.close()
      await plane.close()
      await folder?.remove()
    },
  }
}
