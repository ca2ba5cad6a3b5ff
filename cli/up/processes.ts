import path from 'node:path'
import type { BuiltParts } from '#infra/build/parts.ts'
import type { Ports } from './ports.ts'
import { appFile, gatewayWorkload, sidecarPorts, versionOf, type ShopWorkload } from './shop.ts'
import type { ProcessSpec } from './supervisor.ts'

export interface ShopSettings {
  readonly root: string
  readonly dir: string
  readonly ports: Ports
  /** Path of a stock Envoy's binary; undefined: the bundled engine. */
  readonly envoy: string | undefined
  /** Orders a second that the client makes. */
  readonly rate: number
  readonly rootCertificate: string
  readonly parts: BuiltParts
}

const node = (...args: string[]): [string, ...string[]] => [process.execPath, '--disable-warning=ExperimentalWarning', ...args]

/** Idle memory of a Node process is mostly young generation: with the smallest one a sidecar rests at 86 MB instead of 101, and a request costs no more CPU (docs/performance/start.md). */
const proxyFlags = ['--max-semi-space-size=1'] as const

/** One heap of glibc's for all threads of a sidecar: what they took for a moment, to compile above all, is not kept by each of them. 4 MB of 92, at no cost that could be measured. */
const oneArena = { MALLOC_ARENA_MAX: '1' }

export function appSpec({ root, rate }: ShopSettings, workload: ShopWorkload): ProcessSpec {
  return {
    name: workload.name,
    argv: node(appFile(root, workload)),
    env: {
      ADDRESS: workload.address,
      PORT: String(workload.port ?? 0),
      VERSION: versionOf(workload),
      ...(workload.app === 'client' ? { RATE: String(rate) } : {}),
      HTTP_PROXY: `http://${workload.address}:${sidecarPorts.outbound}`,
    },
  }
}

function proxyEnv(settings: ShopSettings, of: { name: string; namespace: string; serviceAccount: string; labels: Readonly<Record<string, string>> }): Record<string, string> {
  return {
    WEFT_XDS: `127.0.0.1:${settings.ports.xds}`,
    WEFT_XDS_ROOT: settings.rootCertificate,
    WEFT_NAME: of.name,
    WEFT_NAMESPACE: of.namespace,
    WEFT_SERVICE_ACCOUNT: of.serviceAccount,
    WEFT_LABELS: JSON.stringify(of.labels),
    WEFT_CLUSTER: 'local',
    WEFT_STATE_DIR: path.join(settings.dir, 'proxies', of.name),
    WEFT_DRAIN_SECONDS: '2',
    ...oneArena,
    ...(settings.envoy === undefined ? {} : { WEFT_ENGINE: 'envoy', WEFT_ENVOY: settings.envoy }),
  }
}

export function sidecarSpec(settings: ShopSettings, workload: ShopWorkload, joinToken: string): ProcessSpec {
  const { address } = workload
  const ports =
    workload.port === undefined ? [] : [{ port: workload.port, name: 'http', listen: { address, port: sidecarPorts.inbound }, app: { address, port: workload.port } }]
  return {
    name: `${workload.name}-sidecar`,
    argv: node(...proxyFlags, settings.parts.proxy),
    env: {
      ...proxyEnv(settings, workload),
      WEFT_ADDRESS: address,
      WEFT_PORTS: JSON.stringify(ports),
      WEFT_OUTBOUND: `${address}:${sidecarPorts.outbound}`,
      WEFT_ADMIN: `${address}:${sidecarPorts.admin}`,
    },
    secrets: { WEFT_JOIN_TOKEN: joinToken },
  }
}

export function gatewaySpec(settings: ShopSettings, joinToken: string): ProcessSpec {
  const { ports } = settings
  return {
    name: 'gateway',
    argv: node(...proxyFlags, settings.parts.gateway),
    env: {
      ...proxyEnv(settings, gatewayWorkload),
      WEFT_ADDRESS: '127.0.0.1',
      WEFT_GATEWAY_ADDRESS: '127.0.0.1',
      // No balancer stands in front.
      WEFT_DRAIN_DELAY_SECONDS: '0',
      WEFT_GATEWAY_PORTS: JSON.stringify({ 443: ports.gatewayHttps, 80: ports.gatewayHttp }),
      WEFT_ADMIN: `127.0.0.1:${ports.gatewayAdmin}`,
    },
    secrets: { WEFT_JOIN_TOKEN: joinToken },
  }
}
