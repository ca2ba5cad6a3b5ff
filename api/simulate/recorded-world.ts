import type { ResourceObject } from '#core/resource/object.ts'
import type { Workload } from '#core/workload/workload.ts'
import type { MeshSettings } from '#db/store.ts'
import { World, worldOf } from './world.ts'

/** A line of a `-configs` file: a world, or a base that worlds add to. */
export interface RecordedConfig {
  readonly config?: string
  readonly base?: string
  readonly objects: readonly RecordedObject[]
  readonly meshConfig?: { readonly outboundTrafficPolicy?: { readonly mode?: NonNullable<MeshSettings['outboundTrafficPolicy']> }; readonly inboundTrafficPolicy?: { readonly mode?: string }; readonly enableAutoMtls?: boolean; readonly trustDomain?: string }
}

type RecordedObject = ResourceObject & { readonly cluster?: string }

interface Slice {
  readonly metadata: { readonly namespace?: string; readonly labels?: Readonly<Record<string, string>> }
  readonly endpoints?: readonly { readonly addresses?: readonly string[]; readonly conditions?: { readonly ready?: boolean }; readonly targetRef?: { readonly kind?: string; readonly name?: string } }[]
  readonly ports?: readonly { readonly name?: string; readonly port?: number }[]
}

/** The world of a recorded case. Pods and EndpointSlices become the workloads that an agent in their cluster would have reported. */
export function recordedWorld(config: RecordedConfig, base: RecordedConfig | undefined): World {
  const all = [...(base?.objects ?? []), ...config.objects].map(placed)
  const inboundTrafficPolicy = config.meshConfig?.inboundTrafficPolicy ?? base?.meshConfig?.inboundTrafficPolicy
  const objects = [...all.filter((one) => !CLUSTER_KINDS.has(one.kind)), ...(inboundTrafficPolicy === undefined ? [] : [{ apiVersion: 'weft.dev/v1', kind: 'MeshConfig', metadata: { name: 'default' }, spec: { inboundTrafficPolicy } }])]
  const settings = settingsOf({ ...base?.meshConfig, ...config.meshConfig })
  return worldOf({ objects, workloads: workloadsIn(all), settings, assumesCredentials: true, ...(config.meshConfig?.trustDomain === undefined ? {} : { trustDomain: config.meshConfig.trustDomain }) })
}

const CLUSTER_KINDS = new Set(['Pod', 'EndpointSlice'])

/** Without a namespace: default. */
const placed = (object: RecordedObject): RecordedObject =>
  object.metadata.namespace !== undefined || object.kind === 'Namespace' ? object : { ...object, metadata: { ...object.metadata, namespace: 'default' } }

function settingsOf(mesh: NonNullable<RecordedConfig['meshConfig']>): MeshSettings {
  return {
    ...(mesh.outboundTrafficPolicy?.mode === undefined ? {} : { outboundTrafficPolicy: mesh.outboundTrafficPolicy.mode }),
    ...(mesh.enableAutoMtls === false ? { autoMutualTls: false } : {}),
  }
}

function workloadsIn(all: readonly RecordedObject[]): Workload[] {
  const services = new Map(all.filter((one) => one.kind === 'Service').map((one) => [`${one.metadata.namespace}/${one.metadata.name}`, one]))
  const pods = new Map(all.filter((one) => one.kind === 'Pod').map((one) => [`${one.metadata.namespace}/${one.metadata.name}`, one]))
  const workloads = new Map<string, Workload>()
  for (const object of all) {
    if (object.kind !== 'EndpointSlice') continue
    const slice = object as unknown as Slice
    const namespace = slice.metadata.namespace ?? 'default'
    const service = services.get(`${namespace}/${slice.metadata.labels?.['kubernetes.io/service-name'] ?? ''}`)
    for (const [index, endpoint] of (slice.endpoints ?? []).entries()) {
      const address = endpoint.addresses?.[0] ?? ''
      const pod = pods.get(`${namespace}/${endpoint.targetRef?.name ?? ''}`)
      const name = pod?.metadata.name ?? `${object.metadata.name}-${index}`
      const labels = pod?.metadata.labels ?? (service?.spec as { selector?: Record<string, string> } | undefined)?.selector ?? {}
      const known = workloads.get(`${namespace}/${name}`)
      const ports = (slice.ports ?? []).flatMap(({ name: portName, port = 0 }) => (known?.ports.some((one) => one.port === port) ? [] : [{ port, ...(portName === undefined ? {} : { name: portName }), listen: { address, port }, app: { address, port } }]))
      workloads.set(`${namespace}/${name}`, {
        name,
        namespace,
        serviceAccount: (pod?.spec as { serviceAccountName?: string } | undefined)?.serviceAccountName ?? 'default',
        labels,
        address,
        network: '',
        locality: '',
        cluster: object.cluster ?? 'Kubernetes',
        ports: [...(known?.ports ?? []), ...ports],
        mutualTls: labels['security.istio.io/tlsMode'] === 'istio',
        health: endpoint.conditions?.ready === false ? 'unhealthy' : 'healthy',
      })
    }
  }
  return [...workloads.values()]
}
