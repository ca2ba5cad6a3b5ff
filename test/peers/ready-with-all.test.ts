import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { CaseControlPlane } from '#cli/engines/control-plane.ts'
import { LiveCase } from '#cli/engines/live-case.ts'
import type { EngineParts } from '#cli/engines/live-proxy.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { systemDoors } from '#core/time/system.ts'
import { bundleProxies } from '#infra/build/bundle.ts'
import { ENVOY_VERSIONS, installEnvoy } from '#infra/parts/envoy.ts'

/** So many that clusters and scopes need several responses each. */
const SERVICES = 1500
/** What answers for a host that the mesh does not know. */
const UNKNOWN = 502

const services = Array.from({ length: SERVICES }, (_, index): ResourceObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: `service-${index}`, namespace: 'prod' },
  spec: { selector: { app: `service-${index}` }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
}))

const about = {
  workloads: [{ name: 'client', namespace: 'prod', serviceAccount: 'client' }],
  tests: [{ name: 'any', from: 'client.prod', request: { url: 'http://service-0/' }, expect: {} }],
}

const statusOf = (address: string, port: number, host: string, agent: http.Agent): Promise<number> =>
  new Promise((resolve, reject) => {
    http.get({ host: address, port, headers: { host }, agent }, (response) => void response.resume().on('end', () => resolve(response.statusCode ?? 0))).on('error', reject)
  })

/** Asks for every service as soon as the proxy says that it is ready; answers with those that it did not know. */
async function unknownWhenReady(plane: CaseControlPlane, parts: EngineParts): Promise<string[]> {
  const live = await LiveCase.start(systemDoors, plane, parts, about, services)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 16 })
  try {
    const outbound = live.proxy('client.prod')?.node.outbound
    assert.ok(outbound)
    assert.equal(await statusOf(outbound.address, outbound.port, 'nobody', agent), UNKNOWN)
    const unknown: string[] = []
    // The last first: they came last.
    for (let index = SERVICES - 1; index >= 0; index -= 50) {
      const status = await statusOf(outbound.address, outbound.port, `service-${index}`, agent)
      if (status === UNKNOWN) unknown.push(`service-${index}`)
    }
    return unknown
  } finally {
    agent.destroy()
    await live.stop()
  }
}

describe('a proxy that says it is ready knows every service of a mesh whose first answer goes in parts', () => {
  let plane: CaseControlPlane
  before(async () => void (plane = await CaseControlPlane.start(systemDoors)))
  after(() => plane.close())

  for (const version of ENVOY_VERSIONS) {
    test(`Envoy ${version}`, async () => {
      assert.deepEqual(await unknownWhenReady(plane, { kind: 'envoy', binary: await installEnvoy(version) }), [])
    })
  }

  test('the bundled sidecar', async (context) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'weft-ready-'))
    context.after(() => rm(folder, { recursive: true, force: true }))
    const { proxy, gateway } = await bundleProxies({ outDir: folder })
    assert.deepEqual(await unknownWhenReady(plane, { kind: 'weft', proxy, gateway }), [])
  })
})
