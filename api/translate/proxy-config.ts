import { create } from '@bufbuild/protobuf'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import { selects } from '#api/model/labels.ts'
import { PROXY_ANNOTATION, readProxyAnnotation } from '#core/resource/proxy-annotation.ts'
import type { MeshProxyConfig } from '#core/resource/mesh-proxy-config.ts'
import type { ProxyConfigSpec } from '#core/resource/proxy-config.ts'
import type { WorkloadGroupSpec } from '#core/resource/workload-group.ts'
import { type ProxyConfig, ProxyConfigSchema } from '#core/wire/gen/istio/mesh/v1alpha1/proxy_pb.ts'
import { type ReadinessProbe, ReadinessProbeSchema } from '#core/wire/gen/istio/networking/v1alpha3/workload_group_pb.ts'
import type { ProxyNode } from '#core/workload/node.ts'

type Probe = NonNullable<WorkloadGroupSpec['probe']>

/** One level of settings. */
interface Level {
  readonly concurrency?: number | undefined
  readonly proxyMetadata?: Readonly<Record<string, string>> | undefined
}

/**
 * What a workload's proxy starts with. Each level overrides what is wider: the mesh's defaultConfig, the ProxyConfig without a selector of the root namespace, that of its own namespace, the annotation
 * `proxy.istio.io/config` of its WorkloadGroup, and the ProxyConfig of its namespace that selects it. Of several on one level the oldest counts; variables of all levels come together.
 * istio.io/latest/docs/reference/config/networking/proxy-config; the order is that of Istio's EffectiveProxyConfig.
 */
export function effectiveProxyConfig(reader: MeshReader, node: Pick<ProxyNode, 'namespace' | 'labels'>, group: WorkloadGroupSpec | undefined): ProxyConfig {
  const wide: MeshProxyConfig = reader.meshConfig().defaultConfig ?? {}
  const text = group?.metadata?.annotations?.[PROXY_ANNOTATION]
  const annotated: MeshProxyConfig = (text === undefined ? undefined : readProxyAnnotation(text)) ?? {}
  const root = reader.rootNamespace
  const own = reader.proxyConfigs(node.namespace)
  const levels: Level[] = [
    wide,
    levelOf(reader.proxyConfigs(root).find(({ spec }) => spec.selector === undefined)?.spec),
    levelOf(node.namespace === root ? undefined : own.find(({ spec }) => spec.selector === undefined)?.spec),
    annotated,
    levelOf(own.find(({ spec: { selector } }) => Object.keys(selector?.matchLabels ?? {}).length > 0 && selects(selector?.matchLabels, node.labels))?.spec),
  ]
  const concurrency = levels.findLast((one) => one.concurrency !== undefined)?.concurrency
  const probe = group?.probe ?? annotated.readinessProbe ?? wide.readinessProbe
  return create(ProxyConfigSchema, {
    ...(concurrency === undefined ? {} : { concurrency }),
    proxyMetadata: Object.assign({}, ...levels.map((one) => one.proxyMetadata)) as Record<string, string>,
    ...(probe === undefined ? {} : { readinessProbe: probeMessage(probe) }),
  })
}

const levelOf = (spec: ProxyConfigSpec | undefined): Level => (spec === undefined ? {} : { concurrency: spec.concurrency, proxyMetadata: spec.environmentVariables })

function probeMessage(probe: Probe): ReadinessProbe {
  const { httpGet, tcpSocket, exec, grpc } = probe
  return create(ReadinessProbeSchema, {
    initialDelaySeconds: probe.initialDelaySeconds ?? 0,
    timeoutSeconds: probe.timeoutSeconds ?? 0,
    periodSeconds: probe.periodSeconds ?? 0,
    successThreshold: probe.successThreshold ?? 0,
    failureThreshold: probe.failureThreshold ?? 0,
    ...(httpGet === undefined
      ? {}
      : { httpGet: { path: httpGet.path ?? '', port: httpGet.port, host: httpGet.host ?? '', scheme: httpGet.scheme ?? '', httpHeaders: (httpGet.httpHeaders ?? []).map(({ name, value = '' }) => ({ name, value })) } }),
    ...(tcpSocket === undefined ? {} : { tcpSocket: { host: tcpSocket.host ?? '', port: tcpSocket.port } }),
    ...(exec === undefined ? {} : { exec: { command: [...(exec.command ?? [])] } }),
    ...(grpc === undefined ? {} : { grpc: { port: grpc.port ?? 0, service: grpc.service ?? '' } }),
  })
}
