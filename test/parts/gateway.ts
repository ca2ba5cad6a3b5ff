import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type AddressBlock, claimBlock } from '#cli/engines/address-block.ts'
import { LiveProxy } from '#cli/engines/live-proxy.ts'
import { gatewayOf } from '#api/simulate/world.ts'
import { systemDoors } from '#core/time/system.ts'
import type { GatewayTopology } from '#core/workload/node.ts'
import { installEnvoy } from '#infra/parts/envoy.ts'
import type { PlaneUnderTest } from './control-plane.ts'

export type EngineName = 'weft' | 'envoy'

export interface GatewayUnderTest {
  readonly address: string
  /** Where a port of its Gateways is bound. */
  port(gatewayPort: number): number
  readonly proxy: LiveProxy
}

const OFFSET = 20_000
const root = join(import.meta.dirname, '../..')

/** A gateway process on either engine, in namespace `edge` with label `app: edge`, at an address of its own. Ports below 1024 are bound 20000 above. */
export async function startGateway(t: TestContext, under: PlaneUnderTest, engine: EngineName, options: { readonly ports: readonly number[]; readonly topology?: GatewayTopology; readonly block?: AddressBlock; readonly index?: number; readonly envoy?: string }): Promise<GatewayUnderTest> {
  const block = options.block ?? (await claimBlock(systemDoors.random.draw))
  if (options.block === undefined) t.after(() => block.release())
  const address = block.at(options.index ?? 0)
  const bound = (port: number): number => (port < 1024 ? port + OFFSET : port)
  const node = {
    ...gatewayOf({ name: `edge-${options.index ?? 0}`, namespace: 'edge', labels: { app: 'edge' }, address }),
    serviceAccount: 'edge',
    gatewayAddress: address,
    gatewayPorts: new Map(options.ports.map((port) => [port, bound(port)])),
    ...(options.topology === undefined ? {} : { gatewayTopology: options.topology }),
  }
  const proxy = await LiveProxy.start({
    doors: systemDoors,
    parts: engine === 'weft' ? { kind: 'weft', proxy: join(root, 'proxy/main.ts'), gateway: join(root, 'gateway/main.ts') } : { kind: 'envoy', binary: await installEnvoy(options.envoy) },
    node,
    trustDomain: 'cluster.local',
    target: `127.0.0.1:${under.plane.xds.port}`,
    rootPem: under.plane.xds.rootCertificate,
    joinToken: await under.plane.createJoinToken(under.mesh, 'edge', 'edge', 3_600_000),
  })
  t.after(() => proxy.stop())
  return { address, port: bound, proxy }
}
