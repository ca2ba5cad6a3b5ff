import { resolveHost } from '#api/model/host.ts'
import { destinations, virtualServiceGateways } from '#api/model/index-entries.ts'
import { objectId } from '#api/model/mesh-model.ts'
import type { MeshModel } from '#api/model/mesh-model.ts'
import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Typed } from '#api/model/object-reader.ts'
import type { GatewaySpec } from '#core/resource/gateway.ts'
import type { FaultCode } from '#core/fault/codes.ts'
import { fault } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import type { DestinationRuleSpec } from '#core/resource/destination-rule.ts'
import type { HttpRouteSpec } from '#core/resource/http-route.ts'
import type { VirtualServiceSpec } from '#core/resource/virtual-service.ts'
import type { ResourceKey } from '#db/store.ts'
import { authenticationFindings, authorizationFindings } from './check-access.ts'
import { logFormatFindings, telemetryFindings } from './check-telemetry.ts'
import { gatewayRouteFindings } from './check-gateway-routes.ts'
import { clusterResource, clusterScopes } from './cluster.ts'
import { routeResource } from './route.ts'
import { routeScopes, scopedRoutes } from './route-scope.ts'
import { patchFindings } from './patch/check-patches.ts'
import { pluginFindings, trafficExtensionFindings } from './patch/extension.ts'
import { findCredential } from './secret.ts'
import { destinationPolicy } from './traffic-policy.ts'

/** What would never be carried out, or turn every request away: no mesh takes it. */
const REFUSED: ReadonlySet<FaultCode> = new Set<FaultCode>(['xds.invalid', 'authorization.provider'])

/**
 * What is wrong with a mesh as it is now, on account of the objects named: references that lead nowhere, of these objects and to them, hosts that two VirtualServices claim, and what cannot be translated.
 * Warnings, or errors where the mesh's settings are strict. Costs what the objects touch.
 */
export function admissionFindings(model: MeshModel, changed: readonly ResourceKey[]): Fault[] {
  const reader = model.read(() => {})
  const severity = model.settings.strict === true ? 'error' : 'warning'
  const found = new Map<string, Fault>()
  for (const key of changed) {
    for (const one of findings(model, reader, key)) {
      // An object that is judged for several reasons says each thing once.
      found.set(`${one.resource} ${one.path} ${one.code} ${one.hint}`, { ...one, severity: REFUSED.has(one.code) ? 'error' : one.severity === 'warning' ? 'warning' : severity })
    }
  }
  return [...found.values()]
}

function* findings(model: MeshModel, reader: MeshReader, key: ResourceKey): Iterable<Fault> {
  const { kind, namespace, name } = key
  switch (kind) {
    case 'VirtualService': {
      const one = reader.virtualService(namespace, name)
      if (one === undefined) return
      yield* virtualServiceFindings(reader, one)
      yield* claimFindings(reader, one)
      yield* untranslatable(one.id, () => {
        for (const host of one.spec.hosts ?? []) routeScopes(reader, { namespace, labels: {}, gateway: 'mesh' }, resolveHost(host, namespace)).forEach(routeResource)
        scopedRoutes(reader, { namespace, labels: {}, gateway: 'mesh' }, one, 80)
      })
      return
    }
    case 'DestinationRule': {
      const rule = reader.destinationRule(namespace, name)
      if (rule === undefined) return
      yield* ruleFindings(reader, rule)
      const host = resolveHost(rule.spec.host, namespace)
      yield* untranslatable(rule.id, () => clusterScopes(reader, namespace, host).forEach(clusterResource))
      for (const one of reader.virtualServicesBy('leads-to', host)) yield* virtualServiceFindings(reader, one)
      return
    }
    case 'AuthorizationPolicy': {
      const policy = reader.authorizationPolicy(namespace, name)
      if (policy !== undefined) yield* authorizationFindings(reader, policy)
      return
    }
    case 'RequestAuthentication': {
      const one = reader.requestAuthentication(namespace, name)
      if (one !== undefined) yield* authenticationFindings(one)
      return
    }
    case 'Telemetry': {
      const one = reader.telemetry(namespace, name)
      if (one !== undefined) yield* telemetryFindings(reader, one)
      return
    }
    case 'EnvoyFilter': {
      const one = reader.envoyFilter(namespace, name)
      if (one !== undefined) yield* patchFindings(one)
      return
    }
    case 'HTTPRoute':
    case 'GRPCRoute': {
      const route = model.object(objectId(key))
      if (route !== undefined) yield* gatewayRouteFindings(objectId(key), (route.object.spec ?? {}) as HttpRouteSpec)
      return
    }
    case 'TrafficExtension': {
      const one = reader.trafficExtension(namespace, name)
      if (one !== undefined) yield* trafficExtensionFindings(one)
      return
    }
    case 'WasmPlugin': {
      const one = reader.wasmPlugin(namespace, name)
      if (one !== undefined) yield* pluginFindings(one)
      return
    }
    case 'MeshConfig':
      yield* logFormatFindings(objectId(key), reader.meshConfig())
      for (const policy of reader.policiesThatAsk()) yield* authorizationFindings(reader, policy)
      return
    case 'Service':
    case 'ServiceEntry':
      for (const host of kind === 'Service' ? [resolveHost(name, namespace)] : model.declared(objectId(key)).map((one) => one.host)) {
        for (const one of reader.virtualServicesBy('leads-to', host)) yield* virtualServiceFindings(reader, one)
      }
      return
    case 'Gateway': {
      if (key.group !== 'networking.istio.io') return
      const gateway = reader.gateway(namespace, name)
      if (gateway === undefined) for (const one of reader.virtualServicesBy('bound-to', `${namespace}/${name}`)) yield* virtualServiceFindings(reader, one)
      else yield* gatewayFindings(reader, gateway)
      return
    }
    case 'Secret':
      for (const gateway of reader.gatewaysNaming(namespace, name)) yield* gatewayFindings(reader, gateway)
  }
}

function* virtualServiceFindings(reader: MeshReader, { id, namespace, spec }: Typed<VirtualServiceSpec>): Iterable<Fault> {
  for (const { destination, path } of destinations(spec)) {
    const host = resolveHost(destination.host, namespace)
    const service = reader.serviceCovering(host, namespace)
    if (service === undefined) {
      yield fault('reference.host', { resource: id, path: `${path}.host`, value: destination.host, rule: 'a host that a Service or a ServiceEntry defines', hint: `${host} is neither; requests that go there are answered 503` })
    } else if (destination.subset) {
      const { subsets, rule } = destinationPolicy(reader, service, namespace)
      if (subsets.some((one) => one.name === destination.subset)) continue
      const hint = rule === undefined ? `no DestinationRule is there for ${host}` : `${rule.id} has ${subsets.length === 0 ? 'no subsets' : subsets.map((one) => one.name).join(', ')}`
      yield fault('reference.subset', { resource: id, path: `${path}.subset`, value: destination.subset, rule: 'a subset that a DestinationRule of the host defines', hint })
    }
  }
  for (const [index, named] of (spec.gateways ?? []).entries()) {
    const [gateway = ''] = virtualServiceGateways({ gateways: [named] }, namespace)
    const [ofNamespace = '', name = ''] = gateway.split('/')
    if (gateway !== 'mesh' && reader.gateway(ofNamespace, name) === undefined) {
      yield fault('reference.gateway', { resource: id, path: `spec.gateways[${index}]`, value: named, rule: 'mesh, or a Gateway that is there', hint: `there is no Gateway/${gateway}` })
    }
  }
}

/** Sidecars take one VirtualService a host, the oldest; gateways merge them. */
function* claimFindings(reader: MeshReader, one: Typed<VirtualServiceSpec>): Iterable<Fault> {
  if (!virtualServiceGateways(one.spec, one.namespace).includes('mesh')) return
  for (const [index, host] of (one.spec.hosts ?? []).entries()) {
    const [oldest, ...others] = reader.virtualServicesNaming('mesh', resolveHost(host, one.namespace), one.namespace)
    if (oldest === undefined || others.length === 0) continue
    const other = oldest.id === one.id ? others[0] : oldest
    const hint = oldest.id === one.id ? `${other?.id} claims it too, and is passed over for being younger` : `${other?.id} claims it too, and counts for being older`
    yield fault('virtual-service.host-taken', { resource: one.id, path: `spec.hosts[${index}]`, value: host, rule: 'one VirtualService a host', hint })
  }
}

function* ruleFindings(reader: MeshReader, rule: Typed<DestinationRuleSpec>): Iterable<Fault> {
  const host = resolveHost(rule.spec.host, rule.namespace)
  if (!host.includes('*') && reader.serviceCovering(host, rule.namespace) === undefined) {
    yield fault('reference.host', { resource: rule.id, path: 'spec.host', value: rule.spec.host, rule: 'a host that a Service or a ServiceEntry defines', hint: `${host} is neither; the rule applies to nothing` })
  }
}

function* gatewayFindings(reader: MeshReader, gateway: Typed<GatewaySpec>): Iterable<Fault> {
  for (const [index, server] of (gateway.spec.servers ?? []).entries()) {
    const name = server.tls?.credentialName
    if (!name || findCredential(reader, gateway.namespace, name, `${gateway.namespace}/${gateway.name}`) !== undefined) continue
    yield fault('reference.secret', { resource: gateway.id, path: `spec.servers[${index}].tls.credentialName`, value: name, rule: 'a Secret with certificate and key', hint: `there is no such Secret/${gateway.namespace}/${name}; connections for the server's hosts are closed` })
  }
}

/** An object that translation cannot take is one that a proxy would never see. */
function* untranslatable(resource: string, translate: () => void): Iterable<Fault> {
  try {
    translate()
  } catch (error) {
    yield fault('xds.invalid', { resource, path: 'spec', rule: `what can be translated: ${error instanceof Error ? error.message : String(error)}` })
  }
}
