import { readDocuments } from './documents.ts'
import { meshProxyConfig } from './mesh-proxy-config.ts'
import type { MeshProxyConfig } from './mesh-proxy-config.ts'

/** What a workload's own proxy starts with, as YAML of Istio's mesh.v1alpha1 ProxyConfig. */
export const PROXY_ANNOTATION = 'proxy.istio.io/config'

/** Undefined when the text is no ProxyConfig: Istio passes over it, too. */
export function readProxyAnnotation(text: string): MeshProxyConfig | undefined {
  const { documents, faults } = readDocuments(text, PROXY_ANNOTATION)
  if (faults.length > 0 || documents.length !== 1) return undefined
  const read = meshProxyConfig.safeParse(documents[0]?.value)
  return read.success ? read.data : undefined
}
