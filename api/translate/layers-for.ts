import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { Resource } from '#api/serve/resource.ts'
import { clusterResource, clusterScopes } from './cluster.ts'
import { endpointResource, endpointScopes } from './endpoint.ts'
import { gatewayListeners } from './gateway.ts'
import type { GatewayWorkload } from './gateway.ts'
import { gatewayFallback, gatewayHostResources, serverGroups } from './gateway-route.ts'
import { gatewayServers, servesHttp } from './gateway-scope.ts'
import { inboundResources, inboundScopes } from './inbound.ts'
import { explicitFallback, explicitListener, explicitScopes } from './outbound.ts'
import { routeResource } from './route.ts'
import { routeScopes } from './route-scope.ts'
import type { RouteClient } from './route-scope.ts'
import { credentialResources } from './secret.ts'
import { otlpCluster } from './telemetry.ts'
import type { TracingScope } from './telemetry.ts'
import { built } from './unit.ts'
import type { LayerSpec } from './unit.ts'

/** Hosts that services have, and those that only VirtualServices of the sidecars name. */
const MESH_HOSTS = ['service-host', 'virtual-service/mesh']

/** What a node's view is made of. A layer's key says all that its units may depend on beside the mesh, so nodes with equal keys share it. */
export function layersFor(node: ProxyNode, reader: MeshReader): LayerSpec[] {
  const endpoint = node.otlp === '' ? (reader.settings().otlp ?? '') : node.otlp
  // Without spans a proxy's own name is nothing that its listeners depend on.
  const tracing: TracingScope = { endpoint, serviceName: endpoint === '' ? '' : serviceName(node) }
  const layers: LayerSpec[] = [clustersLayer(node.namespace), endpointsLayer(node.namespace, node.locality)]
  if (node.outbound !== undefined) {
    const labels = reader.readsSourceLabels() ? node.labels : {}
    const client: RouteClient = { namespace: node.namespace, labels, gateway: 'mesh' }
    const bind = node.outbound
    layers.push(
      routesLayer(client),
      { key: keyOf('explicit-scopes', node.namespace), indices: MESH_HOSTS, unit: (host) => ({ key: keyOf('explicit-scopes', node.namespace, host), build: (at) => built(...explicitScopes(at, node.namespace, host)) }) },
      single(keyOf('explicit-fallback', client), (at) => explicitFallback(at, client)),
      single(keyOf('explicit-outbound', { bind, tracing }), () => [explicitListener({ bind, tracing })]),
    )
  }
  if (node.ports.length > 0) {
    const workload = { namespace: node.namespace, labels: node.labels, ports: node.ports, tracing }
    layers.push(single(keyOf('inbound', workload), (at) => inboundScopes(at, workload).flatMap(inboundResources)))
  }
  if (node.type === 'router') layers.push(...gatewayLayers(node, reader, tracing))
  if (tracing.endpoint !== '') layers.push(single(keyOf('otlp', tracing.endpoint), () => [otlpCluster(tracing.endpoint)]))
  return layers
}

function gatewayLayers(node: ProxyNode, reader: MeshReader, tracing: TracingScope): LayerSpec[] {
  const { namespace } = node
  const servers = gatewayServers(reader, node.labels)
  const workload: GatewayWorkload = { namespace, labels: node.labels, address: node.gatewayAddress, ports: Object.fromEntries(node.gatewayPorts), tracing }
  const key = keyOf('gateway', workload)
  const routes = serverGroups(servers.filter((one) => servesHttp(one.protocol)), namespace).flatMap((group): LayerSpec[] => [
    {
      key: keyOf('gateway-hosts', group),
      indices: [...new Set(group.servers.map((one) => `virtual-service/${one.gateway}`))],
      unit: (host) => ({ key: keyOf('gateway-hosts', group, host), build: (at) => built(...gatewayHostResources(at, group, host)) }),
    },
    single(keyOf('gateway-fallback', group), (at) => gatewayFallback(at, group)),
  ])
  const credentials = [...new Set(servers.flatMap((one) => (one.tls?.credentialName ? [one.tls.credentialName] : [])))].sort()
  const secrets = credentials.map((name) => single(keyOf('credential', namespace, name), (at) => credentialResources(at, namespace, name)))
  return [{ key, units: [{ key, build: (at) => gatewayListeners(at, workload) }] }, ...routes, ...secrets]
}

function clustersLayer(namespace: string): LayerSpec {
  return { key: keyOf('clusters', namespace), indices: ['service-host'], unit: (host) => ({ key: keyOf('clusters', namespace, host), build: (reader) => built(...clusterScopes(reader, namespace, host).map(clusterResource)) }) }
}

function endpointsLayer(namespace: string, locality: string): LayerSpec {
  const client = { namespace, locality }
  return { key: keyOf('endpoints', client), indices: ['service-host'], unit: (host) => ({ key: keyOf('endpoints', client, host), build: (reader) => built(...endpointScopes(reader, client, host).map(endpointResource)) }) }
}

function routesLayer(client: RouteClient): LayerSpec {
  return { key: keyOf('routes', client), indices: MESH_HOSTS, unit: (host) => ({ key: keyOf('routes', client, host), build: (reader) => built(...(host.includes('*') ? [] : routeScopes(reader, client, host).map(routeResource))) }) }
}

const single = (key: string, make: (reader: MeshReader) => readonly Resource[]): LayerSpec => ({ key, units: [{ key, build: (reader) => built(...make(reader)) }] })

/** Istio's name of a workload's service in traces: `order-service.prod`. */
const serviceName = (node: ProxyNode): string => `${node.labels['service.istio.io/canonical-name'] ?? node.labels['app.kubernetes.io/name'] ?? node.labels['app'] ?? node.name}.${node.namespace}`

/** Equal scopes make equal keys, whatever the order of their labels. */
const keyOf = (...parts: readonly unknown[]): string => parts.map((part) => (typeof part === 'string' ? part : JSON.stringify(part, sortKeys))).join(' ')

const sortKeys = (_name: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value
