import { renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { ControlPlane } from '#api/control-plane.ts'
import type { Context } from '../context.ts'
import type { Ports } from './ports.ts'
import { sidecarPorts, type ShopWorkload } from './shop.ts'

/** What stands in the ready file: contract, "weft up". */
export function readyDocument(of: {
  plane: ControlPlane
  context: Context
  dir: string
  ports: Ports
  rootCertificate: string
  workloads: readonly ShopWorkload[]
  engine: string
  pids: ReadonlyMap<string, number>
}): unknown {
  const { plane, context, dir, ports } = of
  return {
    rest: context.server,
    apiKey: context.apiKey,
    organization: context.organization,
    mesh: context.mesh,
    kubeconfig: path.join(dir, 'kubeconfig'),
    pid: process.pid,
    xds: { address: `${plane.xds.address}:${plane.xds.port}`, rootCertificate: of.rootCertificate },
    gateway: { https: `127.0.0.1:${ports.gatewayHttps}`, http: `127.0.0.1:${ports.gatewayHttp}`, admin: `127.0.0.1:${ports.gatewayAdmin}` },
    workloads: of.workloads.map((workload) => ({
      name: workload.name,
      namespace: workload.namespace,
      serviceAccount: workload.serviceAccount,
      engine: of.engine,
      pid: of.pids.get(`${workload.name}-sidecar`),
      ...(workload.port === undefined ? {} : { app: `${workload.address}:${workload.port}`, inbound: `${workload.address}:${sidecarPorts.inbound}` }),
      outbound: `${workload.address}:${sidecarPorts.outbound}`,
      admin: `${workload.address}:${sidecarPorts.admin}`,
    })),
  }
}

/** At once or not at all: whoever waits for the file reads it whole. */
export function writeReady(file: string, document: unknown): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(document, undefined, 2)}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}
