import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import { ACME_STATE, orderState } from '#api/model/acme.ts'
import { type Families, wildcardsOf } from '#core/workload/families.ts'
import type { Labels } from '#api/model/labels.ts'
import type { Resource } from '#api/serve/resource.ts'
import { warning } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import type { ServerTls } from '#core/resource/server-tls.ts'
import { TrafficDirection } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import type { FilterChainSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { ProxyProtocolSchema } from '#core/wire/gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.ts'
import { TlsInspectorSchema } from '#core/wire/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts'
import { accessFilters, accessFor, connectionFilters } from './access.ts'
import type { Access } from './access.ts'
import { autoPassthroughChain } from './auto-passthrough.ts'
import { connectionCustom } from './engine.ts'
import type { Engine } from './engine.ts'
import { gatewayServers, servesHttp, servesTls } from './gateway-scope.ts'
import type { ScopedServer } from './gateway-scope.ts'
import { grpcWebFilter, httpManager, scopedRoutes } from './http-connection.ts'
import { addressesOf, anyOf, duration, metadataOf } from './message.ts'
import { resourceOf } from './resource.ts'
import { authoritySecretName, credentialNames, credentialSecretName, findCredential, grantedAuthorities, hasAuthorities, namesAuthorities } from './secret.ts'
import { authorityFile, certificatesInFiles, servedParams } from './served-tls.ts'
import { gatewayTcpFilters, passthroughChains } from './tls-route.ts'
import type { TracingScope } from './telemetry.ts'
import { servedSocket } from './tls.ts'
import type { ServedTls } from './tls.ts'
import type { Built } from './unit.ts'

/** A gateway process as far as its listeners depend on it. */
export interface GatewayWorkload {
  readonly namespace: string
  readonly labels: Labels
  /** Where it binds; empty: at any address of its families. */
  readonly address: string
  readonly families: Families
  /** Hosts of services that name it by its address. */
  readonly hosts: readonly string[]
  /** Server port → port to bind. */
  readonly ports: Readonly<Record<number, number>>
  readonly tracing: TracingScope
  readonly engine: Engine
}

type ChainInit = MessageInitShape<typeof FilterChainSchema>

/** One listener for each port, and address, that Gateways ask for: TLS servers a chain each, by server name; plaintext servers one chain together. */
export function gatewayListeners(reader: MeshReader, workload: GatewayWorkload): Built {
  const servers = gatewayServers(reader, workload.labels, workload.namespace, workload.hosts)
  const access = accessFor(reader, workload.namespace, workload.labels)
  const faults: Fault[] = []
  const resources: Resource[] = []
  for (const ofPort of socketsOf(servers)) {
    const { port, bind, serverPort } = ofPort[0]
    const chains = portChains(reader, ofPort, workload, access, faults)
    if (chains.length === 0) continue
    const name = `${bind === '' ? '0.0.0.0' : bind}_${port}`
    // The balancer's header stands in front of the handshake.
    const filters = [...(workload.tracing.http?.proxyProtocol === true ? [listenerFilter('proxy_protocol', anyOf(ProxyProtocolSchema, {}))] : []), ...(ofPort.some((one) => servesTls(one.protocol)) ? [listenerFilter('tls_inspector', anyOf(TlsInspectorSchema, {}))] : [])]
    const message = create(ListenerSchema, {
      name,
      ...addressesOf(boundAt(bind, workload), workload.ports[serverPort] ?? port),
      trafficDirection: TrafficDirection.OUTBOUND,
      filterChains: chains,
      ...(filters.length === 0 ? {} : { listenerFilters: filters, listenerFiltersTimeout: duration(10_000) }),
    })
    resources.push(resourceOf(ListenerSchema, name, message, ofPort.map((one) => `Gateway/${one.gateway}`)))
  }
  return { resources, faults }
}

/** Servers by the port and address that they share, lower ports first. */
function socketsOf(servers: readonly ScopedServer[]): [ScopedServer, ...ScopedServer[]][] {
  const sockets = new Map<string, [ScopedServer, ...ScopedServer[]]>()
  for (const one of servers.toSorted((a, b) => a.port - b.port)) {
    const key = `${one.bind}_${one.port}`
    const beside = sockets.get(key)
    if (beside === undefined) sockets.set(key, [one])
    else beside.push(one)
  }
  return [...sockets.values()]
}

function boundAt(bind: string, { address, families }: GatewayWorkload): readonly [string, ...string[]] {
  if (bind !== '') return [bind]
  return address === '' ? wildcardsOf(families) : [address]
}

const listenerFilter = (name: string, value: Any) => ({ name: `envoy.filters.listener.${name}`, configType: { case: 'typedConfig' as const, value } })

function portChains(reader: MeshReader, servers: readonly ScopedServer[], workload: GatewayWorkload, access: Access, faults: Fault[]): ChainInit[] {
  const chains: ChainInit[] = []
  const taken = new Set<string>()
  const { log } = workload.tracing.clients ?? {}
  const plaintext = servers.find((one) => servesHttp(one.protocol) && !servesTls(one.protocol))
  if (plaintext !== undefined) chains.push({ name: plaintext.id, filters: [gatewayManager(plaintext, workload, access)] })
  let opaque = plaintext !== undefined
  for (const server of servers) {
    const about = metadataOf(server.written)
    if (!servesTls(server.protocol)) {
      // One server has all plaintext connections of a port: the oldest.
      if (opaque) continue
      opaque = true
      const filters = gatewayTcpFilters(reader, server, workload.namespace, log)
      if (filters !== undefined) chains.push({ name: server.id, filters: [...connectionFilters(access, connectionCustom(workload.engine)), ...filters], metadata: about })
    } else if (server.tls?.mode === 'AUTO_PASSTHROUGH') chains.push(autoPassthroughChain(server, log))
    else if (server.tls?.mode === 'PASSTHROUGH') chains.push(...passthroughChains(reader, server, workload.namespace, taken, log))
    else {
      const filters = servesHttp(server.protocol) ? [gatewayManager(server, workload, access)] : gatewayTcpFilters(reader, server, workload.namespace, log)
      const transportSocket = filters === undefined ? undefined : serverSocket(reader, server, workload.namespace, faults)
      // Without its certificate a chain would keep the whole listener waiting; so only its hosts are closed.
      if (transportSocket === undefined || filters === undefined) continue
      chains.push({ name: server.id, filterChainMatch: { ...serverNames(server), transportProtocol: 'tls' }, transportSocket, filters: servesHttp(server.protocol) ? filters : [...connectionFilters(access, connectionCustom(workload.engine)), ...filters], metadata: about })
    }
  }
  return chains
}

const gatewayManager = ({ id, protocol }: ScopedServer, workload: GatewayWorkload, access: Access) =>
  httpManager({ statPrefix: `outbound_0.0.0.0_${id}`, role: 'gateway', tracing: workload.tracing, routes: scopedRoutes('at-colon'), scopePort: id, filters: [...accessFilters(access), ...(protocol === 'GRPC-WEB' ? [grpcWebFilter(false)] : [])] })

/** No names where any is taken. A client that asks for another name finds no chain, and is shown no certificate. */
function serverNames(server: ScopedServer): { serverNames?: string[] } {
  const hosts = [...new Set(server.hosts.map((one) => one.host))].sort()
  return hosts.includes('*') ? {} : { serverNames: hosts }
}

function serverSocket(reader: MeshReader, server: ScopedServer, namespace: string, faults: Fault[]): ReturnType<typeof servedSocket> | undefined {
  const { tls } = server
  const params = servedParams(tls, reader.meshConfig().tlsDefaults)
  if (tls?.mode === 'ISTIO_MUTUAL') return servedSocket({ ...params, certificates: 'own', clientTrust: 'mesh', requireClientCertificate: true })
  const mutual = tls?.mode === 'MUTUAL' || tls?.mode === 'OPTIONAL_MUTUAL'
  const certificates = certificatesInFiles(tls) ?? credentialsOf(reader, server, namespace, faults)
  if (certificates.length === 0) return undefined
  const clientTrust = mutual ? clientTrustOf(reader, server, tls, namespace, faults) : undefined
  if (mutual && clientTrust === undefined) return undefined
  return servedSocket({ ...params, certificates, clientTrust, requireClientCertificate: tls?.mode === 'MUTUAL' })
}

/** The names of the secrets that are there; a fault for each that is not. */
function credentialsOf(reader: MeshReader, server: ScopedServer, namespace: string, faults: Fault[]): string[] {
  const names = server.tls === undefined ? [] : credentialNames(server.tls)
  return (names.length === 0 ? [''] : names).flatMap((name) => {
    const about = { resource: server.written.resource, path: `spec.${server.written.field}.tls.${server.tls?.credentialNames === undefined ? 'credentialName' : 'credentialNames'}`, value: name }
    const order = orderState(reader.secret(namespace, ACME_STATE), name)
    if (order.error !== '') faults.push(warning('reference.secret', { ...about, rule: `a certificate, which its authority did not issue: ${order.error}`, hint: `asked again after ${new Date(order.retryAtMs).toISOString()}` }))
    if (findCredential(reader, namespace, name, server.gateway) !== undefined) return [credentialSecretName(name)]
    faults.push(warning('reference.secret', { ...about, rule: `a Secret with certificate and key in namespace ${namespace}`, hint: 'until it is there, connections for these hosts are closed' }))
    return []
  })
}

/** What client certificates must lead to; undefined, with a fault: it is not there. */
function clientTrustOf(reader: MeshReader, server: ScopedServer, tls: ServerTls, namespace: string, faults: Fault[]): ServedTls['clientTrust'] {
  const { resource, field } = server.written
  if (namesAuthorities(server.gateway, tls) && grantedAuthorities(reader, tls.caCertCredentialName) !== undefined) return tls.caCertCredentialName
  const [first = ''] = credentialNames(tls)
  const name = namesAuthorities(server.gateway, tls) ? undefined : tls.caCertCredentialName || first
  if (name !== undefined && name !== '' && hasAuthorities(reader, namespace, name, server.gateway)) return authoritySecretName(name)
  const file = authorityFile(tls)
  if (file !== undefined && !tls.caCertCredentialName && first === '') return file
  const path = tls.caCertCredentialName ? 'caCertCredentialName' : tls.credentialNames === undefined ? 'credentialName' : 'credentialNames'
  faults.push(warning('reference.secret', { resource, path: `spec.${field}.tls.${path}`, value: name ?? tls.caCertCredentialName ?? '', rule: `ca.crt in Secret ${name ?? ''} or in ${name ?? ''}-cacert, to verify clients with` }))
  return undefined
}
