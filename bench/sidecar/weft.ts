import { readFileSync } from 'node:fs'
import type { ClusterPlan } from '#core/plan/cluster.ts'
import type { EndpointsPlan } from '#core/plan/endpoints.ts'
import type { ScopePlan } from '#core/plan/http.ts'
import type { ListenerPlan } from '#core/plan/listener.ts'
import type { RouteTable } from '#core/plan/route.ts'
import { readCluster } from '#core/plan/read-cluster.ts'
import { readListener } from '#core/plan/read-listener.ts'
import { describeFault } from '#core/fault/fault.ts'
import { systemDoors } from '#core/time/system.ts'
import { encodeCanonical } from '#core/wire/encode.ts'
import { messageFromJson } from '#core/wire/registry.ts'
import { ClusterSchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import type { Read } from '#core/plan/read.ts'
import { Secrets } from '#proxy/identity/secrets.ts'
import { jsonLog } from '#proxy/admin/log.ts'
import { Runtime } from '#proxy/runtime.ts'

/**
 * A Weft data path on static resources from a file: `weft.ts RESOURCES.json [CERTIFICATE KEY ROOTS]`. Tracing headers are on, as in a mesh; spans are not sampled out.
 * The file may also name `certificates` that resources ask for, and say that it is of a gateway.
 */

const [file = '', certificate, key, roots] = process.argv.slice(2)
const resources = JSON.parse(readFileSync(file, 'utf8')) as { listeners: never[]; clusters: never[]; gateway?: boolean; certificates?: { name: string; certificate: string; key: string }[] }
const good = <T>(read: Read<T>): T => {
  if (!read.ok) throw new Error(read.faults.map(describeFault).join('\n'))
  return read.plan
}
const traced = (plan: ListenerPlan): ListenerPlan => ({
  ...plan,
  chains: plan.chains.map((chain) => (chain.serve.kind === 'http' ? { ...chain, serve: { ...chain.serve, tracing: { endpoint: '', serviceName: 'bench', samplingPercent: 1 } } } : chain)),
})

const listeners = new Map<string, ListenerPlan>()
const clusters = new Map<string, ClusterPlan>()
for (const json of resources.clusters) {
  const plan = good(readCluster(encodeCanonical(ClusterSchema, messageFromJson(ClusterSchema, json)), '1'))
  clusters.set(plan.name, plan)
}
for (const json of resources.listeners) {
  const plan = traced(good(readListener(encodeCanonical(ListenerSchema, messageFromJson(ListenerSchema, json)), '1')))
  listeners.set(plan.name, plan)
}
const secrets = new Secrets(jsonLog(systemDoors.clock, (line) => process.stderr.write(line)))
if (certificate !== undefined && key !== undefined && roots !== undefined) {
  secrets.put({ kind: 'certificate', name: 'default', version: '1', chainPem: readFileSync(certificate, 'utf8'), keyPem: readFileSync(key, 'utf8') })
  secrets.put({ kind: 'trust', name: 'ROOTCA', version: '1', rootsPem: readFileSync(roots, 'utf8') })
}
for (const { name, certificate, key } of resources.certificates ?? []) secrets.put({ kind: 'certificate', name, version: '1', chainPem: readFileSync(certificate, 'utf8'), keyPem: readFileSync(key, 'utf8') })
const type = resources.gateway === true ? 'router' : 'sidecar'
const runtime = new Runtime(
  systemDoors,
  { listeners, clusters, scopes: new Map<string, ScopePlan>(), tables: new Map<string, RouteTable>(), endpoints: new Map<string, EndpointsPlan>(), revision: 1 },
  secrets,
  {
    node: {
      id: `${type}~127.0.0.1~bench.default~default.svc.cluster.local`, type, address: '127.0.0.1', name: 'bench', namespace: 'default', serviceAccount: 'bench', labels: { app: 'bench' },
      cluster: 'bench', network: '', locality: '', engine: 'weft', version: '0', outbound: undefined, ports: [], gatewayPorts: new Map(), gatewayAddress: '127.0.0.1', otlp: '',
    },
  },
)
for (const name of clusters.keys()) runtime.applyCluster(name)
for (const name of listeners.keys()) {
  const failure = await runtime.applyListener(name)
  if (failure !== '') throw new Error(failure)
}
process.on('SIGTERM', () => process.exit(0))
