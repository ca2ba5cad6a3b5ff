import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MeshModel } from '#api/model/mesh-model.ts'
import type { Resource } from '#api/serve/resource.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, LISTENER, NAME_TABLE, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import { addressListeners, capturedFallback, capturedScopes, portListener } from './captured.ts'
import { clusterResource, clusterScopes } from './cluster.ts'
import { connectScopes } from './connect.ts'
import { endpointResource, endpointScopes } from './endpoint.ts'
import { nameTable } from './name-table.ts'
import { explicitScopes } from './outbound.ts'
import { reportingOf } from './reporting.ts'
import { routeResource } from './route.ts'
import { routeScopes } from './route-scope.ts'
import { deleteChange, nodeFrom, putChange, storedFrom } from './testing/mesh-case.ts'
import { MeshViews } from './view.ts'

const networking = 'networking.istio.io/v1'
const namespaces = ['a', 'b', 'c'] as const
const hosts = ['one.example', 'two.example', 'plain.b.svc.cluster.local'] as const
const ROOT = 'istio-system'

const namespace = fc.constantFrom(...namespaces)
const host = fc.constantFrom(...hosts)
const exportTo = fc.option(fc.subarray(['.', '*', ...namespaces], { minLength: 1, maxLength: 2 }), { nil: undefined })

const of = (kind: string, at: string, name: string, spec: object): ResourceObject => ({ apiVersion: networking, kind, metadata: { name, namespace: at }, spec })
const source = fc.option(namespace, { nil: undefined })
const entry = fc.tuple(namespace, host, exportTo, fc.constantFrom('10.0.0.1', '10.0.0.2'), fc.boolean()).map(([at, name, to, address, isAddressed]) =>
  of('ServiceEntry', at, name, {
    hosts: [name],
    exportTo: to,
    location: 'MESH_INTERNAL',
    resolution: 'STATIC',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }, { number: 9000, name: 'tcp', protocol: 'TCP' }, { number: 9443, name: 'tls', protocol: 'TLS' }],
    endpoints: [{ address }],
    ...(isAddressed ? { addresses: ['240.0.0.1'] } : {}),
  }),
)
const service = namespace.map((at): ResourceObject => ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'plain', namespace: at }, spec: { ports: [{ name: 'http', port: 80 }, { name: 'tcp', port: 9000 }] } }))
const rule = fc.tuple(namespace, host, exportTo, fc.constantFrom('RANDOM', 'LEAST_REQUEST')).map(([at, name, to, simple]) => of('DestinationRule', at, 'rule', { host: name, exportTo: to, trafficPolicy: { loadBalancer: { simple } } }))
const virtualService = fc.tuple(namespace, host, host, exportTo, source, source, source).map(([at, name, to, seen, http, tcp, tls]) => {
  const matchOf = (sourceNamespace: string | undefined) => (sourceNamespace === undefined ? {} : { match: [{ sourceNamespace }] })
  const route = [{ destination: { host: to } }]
  return of('VirtualService', at, 'routes', {
    hosts: [name],
    exportTo: seen,
    tcp: [{ ...matchOf(tcp), route }],
    tls: [{ match: [{ port: 9443, sniHosts: [name], ...(tls === undefined ? {} : { sourceNamespace: tls }) }], route }],
    http: [{ ...matchOf(http), route }, { route: [{ destination: { host: name } }] }],
  })
})
const rootRule = fc.tuple(host, exportTo).map(([name, to]) => of('DestinationRule', ROOT, 'rule', { host: name, exportTo: to, trafficPolicy: { loadBalancer: { simple: 'ROUND_ROBIN' } } }))
const meshConfig = fc.tuple(exportTo, exportTo, exportTo).map(([services, routes, rules]): ResourceObject => ({ apiVersion: 'weft.dev/v1', kind: 'MeshConfig', metadata: { name: 'default' }, spec: { defaultServiceExportTo: services, defaultVirtualServiceExportTo: routes, defaultDestinationRuleExportTo: rules } }))
const step = fc.tuple(fc.oneof({ weight: 3, arbitrary: entry }, service, { weight: 2, arbitrary: rule }, rootRule, { weight: 3, arbitrary: virtualService }, meshConfig), fc.boolean())

/** What one listener needs, whoever is called. */
const isOwn = /^fallback|\*$|\* CONNECT$|^connect\|proxy$|^outbound_proxy$/

/** Name and version of each, by type; the first of a name counts. */
function summary(resources: Iterable<Resource>): Record<string, string> {
  const found: Record<string, string> = {}
  for (const one of resources) found[`${one.type} ${one.name}`] ??= one.version
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)))
}

test('clients of each namespace hold what would be made for that namespace alone, after any changes', () => {
  const nodes = [...namespaces, ROOT, 'named-by-nothing'].map((at) => nodeFrom({ name: 'client', namespace: at, outbound: '127.0.0.1:15001' }))
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), (steps) => {
      const model = new MeshModel({ trustDomain: 'cluster.local' })
      const views = new MeshViews(model)
      const held = nodes.map((node) => ({ node, view: views.viewFor(node, undefined), told: new Map<string, string>() }))
      for (const { view, told } of held) {
        view.subscribe(({ changed, removed }) => {
          for (const one of changed) told.set(`${one.type} ${one.name}`, one.version)
          for (const one of removed) told.delete(`${one.type} ${one.name}`)
        })
      }
      for (const [index, [object, put]] of steps.entries()) {
        const stored = storedFrom(object, index + 1)
        views.apply([put ? putChange(stored) : deleteChange(stored, index + 1)], index + 1)
      }
      for (const { node, view, told } of held) {
        const reader = model.read(() => {})
        const client = { namespace: node.namespace, labels: {}, gateway: 'mesh' }
        const alone = [...new Set([...model.members('service-host'), ...model.members('virtual-service/mesh')])].flatMap((name) => [
          ...clusterScopes(reader, node.namespace, name).map(clusterResource),
          ...endpointScopes(reader, { namespace: node.namespace, locality: '' }, name).map(endpointResource),
          ...routeScopes(reader, client, name).map(routeResource),
          ...explicitScopes(reader, node.namespace, name),
          ...connectScopes(reader, client, name),
        ])
        const listed = [CLUSTER, CLUSTER_LOAD_ASSIGNMENT, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION].flatMap((type) => [...view.list(type)]).filter((one) => !isOwn.test(one.name))
        assert.deepEqual(summary(listed), summary(alone))
        for (const one of alone) assert.equal(told.get(`${one.type} ${one.name}`), view.get(one.type, one.name)?.version)
        for (const name of told.keys()) assert.ok(listed.some((one) => `${one.type} ${one.name}` === name) || isOwn.test(name), `${name} is gone, and nobody said so`)
      }
    }),
    { numRuns: 300 },
  )
})

for (const dnsCapture of [false, true]) {
  test(`captured clients of each namespace hold what would be made for that namespace alone, after any changes${dnsCapture ? ': where the mesh resolves names' : ''}`, () => {
    const nodes = [...namespaces, ROOT, 'named-by-nothing'].map((at) => nodeFrom({ name: 'client', namespace: at, address: '10.9.0.1', dnsCapture }))
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), (steps) => {
        const model = new MeshModel({ trustDomain: 'cluster.local' })
        const views = new MeshViews(model)
        const held = nodes.map((node) => ({ node, view: views.viewFor(node, undefined) }))
        for (const [index, [object, put]] of steps.entries()) {
          const stored = storedFrom(object, index + 1)
          views.apply([put ? putChange(stored) : deleteChange(stored, index + 1)], index + 1)
        }
        for (const { node, view } of held) {
          const { namespace: of } = node
          const whole = model.read(() => {})
          const reader = whole.within(dnsCapture ? { client: of, allocated: 'IPv4' } : undefined)
          const client = { namespace: of, labels: {}, gateway: 'mesh' }
          const tracing = { endpoint: '', serviceName: '', ...reportingOf(whole, node, false) }
          const hostsOf = [...new Set([...model.members('service-host'), ...model.members('virtual-service/mesh')])]
          const ports = [...new Set([...model.members('http-port'), ...model.members('plain-port')])].map(Number)
          const alone = [
            ...hostsOf.flatMap((name) => [...routeScopes(whole, client, name).map(routeResource), ...capturedScopes(reader, of, name), ...addressListeners(reader, client, name, tracing), ...(dnsCapture ? nameTable(reader, of, name) : [])]),
            ...ports.flatMap((port) => [...portListener(reader, client, port, tracing, { addresses: ['0.0.0.0'] }), ...capturedFallback(reader, client, port, 'IPv4')]),
          ]
          const listed = [LISTENER, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION, NAME_TABLE].flatMap((type) => [...view.list(type)]).filter((one) => !one.name.startsWith('virtual'))
          assert.deepEqual(summary(listed), summary(alone))
        }
      }),
      { numRuns: 150 },
    )
  })
}

test('what no namespace has for itself is made once, however many namespaces have clients', () => {
  const cost = (clients: number, captured: boolean) => {
    const views = new MeshViews(new MeshModel({ trustDomain: 'cluster.local' }))
    const weight = (revision: number) =>
      putChange(storedFrom(of('VirtualService', 'shop', 'routes', { hosts: ['one.example'], http: [{ route: [{ destination: { host: 'one.example' }, weight: 100 }], timeout: `${revision}s` }] }), revision))
    const declared = storedFrom(of('ServiceEntry', 'shop', 'one', { hosts: ['one.example'], resolution: 'STATIC', ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], endpoints: [{ address: '10.0.0.1' }] }), 1)
    views.apply([putChange(declared), weight(2)], 2)
    for (let at = 0; at < clients; at += 1) views.viewFor(nodeFrom({ name: 'client', namespace: at === 1 ? 'shop' : `clients-${at}`, ...(captured ? { address: '10.9.0.1', dnsCapture: true } : { outbound: '127.0.0.1:15001' }) }), undefined)
    const before = views.computed
    views.apply([weight(3)], 3)
    return views.computed - before
  }
  for (const captured of [false, true]) assert.equal(cost(50, captured), cost(1, captured))
})

test('clients of all namespaces that see the same are told so by one object, until one namespace sees something else', () => {
  const views = new MeshViews(new MeshModel({ trustDomain: 'cluster.local' }))
  const declared = (name: string, revision: number, to: string[]) =>
    putChange(storedFrom(of('ServiceEntry', 'shop', name, { hosts: [`${name}.example`], exportTo: to, resolution: 'STATIC', ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], endpoints: [{ address: '10.0.0.1' }] }), revision), revision)
  views.apply([declared('one', 1, ['*'])], 1)
  // Two of each namespace: what only one client has is its own.
  const held = ['shop', 'a', 'b'].flatMap((namespace) => ['client', 'other'].map((name) => ({ namespace, view: views.viewFor(nodeFrom({ name, namespace, outbound: '127.0.0.1:15001', labels: { app: 'client' }, ports: [{ name: 'http', port: 8080 }] }), undefined) })))
  const shown = (type: string) => Object.fromEntries(held.map(({ namespace, view }) => [namespace, view.sharing?.(type)?.as]))
  for (const type of [CLUSTER, CLUSTER_LOAD_ASSIGNMENT, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION]) {
    const { shop, a, b } = shown(type)
    assert.ok(shop !== undefined && shop === a && a === b, type)
  }
  const before = shown(CLUSTER)['a']
  views.apply([declared('two', 2, ['b'])], 2)
  const { shop, a, b } = shown(CLUSTER)
  assert.equal(shop, a)
  assert.equal(a, before)
  assert.notEqual(b, a)
})
