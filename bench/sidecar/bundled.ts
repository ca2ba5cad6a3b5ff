import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundleProxies } from '#infra/build/bundle.ts'
import { encodeCanonical, contentHash } from '#core/wire/encode.ts'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { messageFromJson } from '#core/wire/registry.ts'
import { CLUSTER, LISTENER } from '#core/wire/type-url.ts'
import { TestControlPlane } from '#proxy/testing/control-plane.ts'
import type { Bed } from './bed.ts'
import type { Resources } from './config.ts'

/** Weft as it is delivered: the bundled sidecar, which gets identity and resources from a control plane. */
export interface Bundled {
  /** To run with these flags, and with a folder for compiled code. */
  command(flags: readonly string[], compiled?: string): string[]
  close(): void
}

/** Builds the sidecar, and starts a control plane in this process that has nothing but these resources. */
export async function startBundled({ folder, node }: Bed, resources: Resources): Promise<Bundled> {
  const { proxy } = await bundleProxies({ outDir: join(folder, 'bundle') })
  const plane = new TestControlPlane()
  await plane.start()
  for (const json of resources.clusters) {
    const bytes = encodeCanonical(ClusterSchema, messageFromJson(ClusterSchema, json))
    plane.putBytes(CLUSTER, { name: String(json['name']), version: contentHash(bytes), bytes })
  }
  for (const json of resources.listeners) {
    const bytes = encodeCanonical(ListenerSchema, messageFromJson(ListenerSchema, json))
    plane.putBytes(LISTENER, { name: String(json['name']), version: contentHash(bytes), bytes })
  }
  const root = join(folder, 'plane.pem')
  writeFileSync(root, plane.authority.rootPem)
  const variables = [`WEFT_XDS=${plane.target}`, `WEFT_XDS_ROOT=${root}`, `WEFT_JOIN_TOKEN=${plane.token}`, 'WEFT_NAME=bench', 'WEFT_ADDRESS=127.0.0.1', 'WEFT_ADMIN=127.0.0.1:0', 'WEFT_DRAIN_SECONDS=1', 'WEFT_LOG_LEVEL=error']
  return {
    // The young generation is as small as `weft up` makes it, and glibc's heap one.
    command: (flags, compiled) => ['env', 'MALLOC_ARENA_MAX=1', ...variables, ...(compiled === undefined ? [] : [`NODE_COMPILE_CACHE=${compiled}`]), ...node, '--max-semi-space-size=1', proxy, ...flags],
    close: () => plane.stop(),
  }
}
