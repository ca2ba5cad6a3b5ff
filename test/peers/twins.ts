import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type DescMessage, type JsonValue, toBinary } from '@bufbuild/protobuf'
import type { ClusterPlan } from '#core/plan/cluster.ts'
import type { ListenerPlan } from '#core/plan/listener.ts'
import type { Read } from '#core/plan/read.ts'
import { readCluster } from '#core/plan/read-cluster.ts'
import { readListener } from '#core/plan/read-listener.ts'
import { systemDoors } from '#core/time/system.ts'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { messageFromJson } from '#core/wire/registry.ts'
import { noSecrets, TestPlans, testNode } from '#proxy/testing/plan.ts'
import { Runtime } from '#proxy/runtime.ts'
import { send, until } from '../mesh/shop.ts'
import { ENVOY_NEWEST, installEnvoy } from '#infra/parts/envoy.ts'

/** The same listeners and clusters, as JSON of Envoy's API, in a stock Envoy and in Weft's data path. */
export interface Resources {
  readonly listeners: readonly JsonValue[]
  readonly clusters: readonly JsonValue[]
}

/** Ports by listener name. */
export interface Engine {
  readonly name: 'envoy' | 'weft'
  readonly port: (listener: string) => number
  /** Prometheus or Envoy statistics, as text. */
  readonly stats: () => Promise<string>
}

export interface Twins {
  readonly envoy: Engine
  readonly weft: Engine
  readonly runtime: Runtime
}

/** `logged` is told the lines of Weft's access logs; Envoy writes them to the file that its configuration names. */
export async function startTwins(t: TestContext, resources: Resources, version: string = ENVOY_NEWEST, logged: (lines: string) => void = () => undefined): Promise<Twins> {
  const { engine: weft, runtime } = await startWeft(t, resources, logged)
  return { envoy: await startEnvoy(t, resources, version), weft, runtime }
}

/** Weft's plan readers and data path in this process. @throws Error with every fault of a resource that is refused */
export async function startWeft(t: TestContext, resources: Resources, logged: (lines: string) => void): Promise<{ engine: Engine; runtime: Runtime }> {
  const plans = new TestPlans()
  for (const json of resources.clusters) {
    const plan: ClusterPlan = planOf(ClusterSchema, json, readCluster)
    plans.clusters.set(plan.name, plan)
  }
  for (const json of resources.listeners) {
    const plan: ListenerPlan = planOf(ListenerSchema, json, readListener)
    plans.listeners.set(plan.name, plan)
  }
  const runtime = new Runtime(systemDoors, plans, noSecrets, { node: testNode, accessLog: { write: (_path, lines) => logged(lines) } })
  t.after(() => runtime.close())
  for (const name of plans.clusters.keys()) runtime.applyCluster(name)
  for (const name of plans.listeners.keys()) {
    const failure = await runtime.applyListener(name)
    if (failure !== '') throw new Error(`listener ${name}: ${failure}`)
  }
  return { engine: { name: 'weft', port: (name) => runtime.portOf(name) ?? 0, stats: () => Promise.resolve(runtime.metricsText()) }, runtime }
}

function planOf<Plan>(schema: DescMessage, json: JsonValue, read: (bytes: Uint8Array, version: string) => Read<Plan>): Plan {
  const result = read(toBinary(schema, messageFromJson(schema, json)), '1')
  if (!result.ok) throw new Error(result.faults.map((one) => `${one.path} ${one.rule}`).join('; '))
  return result.plan
}

export async function startEnvoy(t: TestContext, resources: Resources, version: string = ENVOY_NEWEST): Promise<Engine> {
  const binary = await installEnvoy(version)
  const folder = mkdtempSync(join(tmpdir(), 'weft-twin-'))
  const adminFile = join(folder, 'admin')
  const file = join(folder, 'envoy.json')
  writeFileSync(
    file,
    JSON.stringify({ node: { id: 'twin', cluster: 'twin' }, admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } }, static_resources: { listeners: resources.listeners, clusters: resources.clusters } }),
  )
  const child: ChildProcess = spawn(binary, ['-c', file, '--admin-address-path', adminFile, '--use-dynamic-base-id', '--concurrency', '1', '--file-flush-interval-msec', '20', '--log-level', 'error'], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr?.on('data', (text: Buffer) => (said = (said + text.toString()).slice(-20_000)))
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
    }
    rmSync(folder, { recursive: true, force: true })
  })
  let admin = ''
  await until('Envoy opens its admin port', () => {
    if (child.exitCode !== null) throw new Error(`Envoy ended with ${child.exitCode}: ${said}`)
    try {
      admin = readFileSync(adminFile, 'utf8').trim()
    } catch {
      // Not written yet.
    }
    return admin !== ''
  })
  await until('Envoy is ready', () => {
    if (child.exitCode !== null) throw new Error(`Envoy ended with ${child.exitCode}: ${said}`)
    return send(admin, { host: 'admin', path: '/ready' }).then(
      ({ status }) => status === 200,
      // It opens its port before it answers there.
      () => false,
    )
  })
  const answer = (await send(admin, { host: 'admin', path: '/listeners?format=json' })).body
  const { listener_statuses: all = [] } = JSON.parse(answer) as { listener_statuses?: { name: string; local_address: { socket_address: { port_value: number } } }[] }
  const ports = new Map(all.map((one) => [one.name, one.local_address.socket_address.port_value]))
  return { name: 'envoy', port: (name) => ports.get(name) ?? 0, stats: async () => (await send(admin, { host: 'admin', path: '/stats' })).body }
}

/** A listener on a free port of loopback with one HTTP connection manager; `over` adds to the manager. */
export function httpListener(name: string, virtualHosts: JsonValue, over: { readonly [field: string]: JsonValue } = {}, filters: readonly JsonValue[] = []): JsonValue {
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
              stat_prefix: name,
              route_config: { name, virtual_hosts: virtualHosts, validate_clusters: false },
              http_filters: [...filters, { name: 'envoy.filters.http.router', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } }],
              ...over,
            },
          },
        ],
      },
    ],
  }
}

/** A static cluster of loopback ports; weight 1 each unless given. */
export function staticCluster(name: string, ports: readonly (number | { readonly port: number; readonly weight: number; readonly address?: string })[], over: { readonly [field: string]: JsonValue } = {}): JsonValue {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '60s',
    load_assignment: {
      cluster_name: name,
      endpoints: [
        {
          lb_endpoints: ports.map((one) => {
            const { port, weight, address = '127.0.0.1' } = typeof one === 'number' ? { port: one, weight: 1 } : one
            return { endpoint: { address: { socket_address: { address, port_value: port } } }, load_balancing_weight: weight }
          }),
        },
      ],
    },
    ...over,
  }
}
