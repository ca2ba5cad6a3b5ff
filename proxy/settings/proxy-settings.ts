import { fromBinary } from '@bufbuild/protobuf'
import { ProxyConfigSchema } from '#core/wire/gen/istio/mesh/v1alpha1/proxy_pb.ts'
import type { ReadinessProbe } from '#core/wire/gen/istio/networking/v1alpha3/workload_group_pb.ts'
import { isOwnMetadata } from '#core/workload/node-message.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { Bootstrap } from '../bootstrap/bootstrap.ts'
import { CONCURRENCY_MAX } from './concurrency.ts'

/** What the mesh has a proxy start with. */
export interface ProxySettings {
  /** Worker threads, 0 for as many as there are cores; undefined: the mesh does not say. */
  readonly concurrency: number | undefined
  readonly variables: Readonly<Record<string, string>>
  readonly probe: ReadinessProbe | undefined
}

export const noSettings: ProxySettings = { concurrency: undefined, variables: {}, probe: undefined }

/** @throws Error for bytes that are no `istio.mesh.v1alpha1.ProxyConfig` */
export function readSettings(bytes: Uint8Array): ProxySettings {
  const { concurrency, proxyMetadata, readinessProbe } = fromBinary(ProxyConfigSchema, bytes)
  // What a shell cannot name is no variable; those of our own say who the proxy is and whom it trusts, which is for its own machine to say.
  const variables = Object.fromEntries(Object.entries(proxyMetadata).filter(([name, value]) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !name.startsWith('WEFT_') && !value.includes('\0')))
  return { concurrency: concurrency !== undefined && concurrency >= 0 ? concurrency : undefined, variables, probe: readinessProbe }
}

/** What a proxy starts with. */
export interface Start {
  /** Undefined: neither the process nor the mesh says. */
  readonly concurrency: number | undefined
  readonly environment: Bootstrap['environment']
  readonly node: ProxyNode
  readonly probe: ReadinessProbe | undefined
}

const NODE_VARIABLE = 'ISTIO_META_'

/** The process’s own word counts before the mesh’s, as what stands nearest does. Variables `ISTIO_META_NAME` become words of the node, as Istio's agents have it. */
export function startWith(bootstrap: Pick<Bootstrap, 'concurrency' | 'environment' | 'node'>, settings: ProxySettings, cores: number): Start {
  const told = settings.concurrency === 0 ? cores : settings.concurrency
  const environment = { ...settings.variables, ...bootstrap.environment }
  const words = Object.entries(environment).flatMap(([name, value]) => (name.startsWith(NODE_VARIABLE) && value !== undefined && !isOwnMetadata(name.slice(NODE_VARIABLE.length)) ? [[name.slice(NODE_VARIABLE.length), value]] : []))
  return {
    concurrency: bootstrap.concurrency ?? (told === undefined ? undefined : Math.min(Math.max(told, 1), CONCURRENCY_MAX)),
    environment,
    node: words.length === 0 ? bootstrap.node : { ...bootstrap.node, metadata: Object.fromEntries(words) },
    probe: settings.probe,
  }
}
