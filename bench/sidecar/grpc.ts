import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Bed } from './bed.ts'
import { grpcResources } from './config.ts'
import { h2load, LOAD_CPU, ready, startOn, stop } from './measure.ts'
import { saturate } from './saturation.ts'
import { singleSubjects } from './subjects.ts'

const GRPC_BACKEND = 21181
const HEADERS = ['content-type: application/grpc', 'te: trailers', 'user-agent: grpc-node-js/1.14.7', 'grpc-accept-encoding: identity,deflate,gzip', 'grpc-timeout: 10S']

/** gRPC unary calls of 128 bytes, HTTP/2 in plaintext on either side of one sidecar, eight calls on each connection. */
export async function measureGrpc(bed: Bed): Promise<void> {
  const backend = startOn(LOAD_CPU, [process.execPath, join(import.meta.dirname, 'grpc-backend.ts'), String(GRPC_BACKEND)])
  const body = join(bed.folder, 'call.bin')
  writeFileSync(body, Buffer.concat([Buffer.from([0, 0, 0, 0, 128]), Buffer.alloc(128, 120)]))
  const connections = Math.max(1, bed.options.connections >> 3)
  const load = (port: number, seconds: number) => h2load(`http://127.0.0.1:${port}/b/unary`, seconds, [`-c${connections}`, '-m8', '-d', body], HEADERS)
  try {
    const subjects = singleSubjects(bed, 'grpc', 21121, (port, log) => grpcResources(port, GRPC_BACKEND, log))
    // A GET is refused by the sidecar itself: it is there.
    await saturate(bed, 'gRPC unary 128 B', subjects, { unit: 'call', ready: (port) => ready(port, '/b/unary', { status: 403 }), load }, [{ subject: 'weft', peer: 'envoy', ratio: 2 }])
  } finally {
    await stop(backend)
  }
}
