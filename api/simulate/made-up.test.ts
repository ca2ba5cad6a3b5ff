import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ResourceObject } from '#core/resource/object.ts'
import { judge, type RecordedCall, type RecordedProxy, type RecordedRow } from './recorded.ts'
import { recordedWorld } from './recorded-world.ts'

/** Worlds that nobody recorded, one word away from ones that were; what is expected is what Istio's own simulation (commit eed52ebb66ad) answered. */

const spoken = (api: string) => (kind: string, namespace: string, name: string, spec: unknown): ResourceObject => ({ apiVersion: api, kind, metadata: { name, namespace }, spec: spec as NonNullable<ResourceObject['spec']> })
const istio = spoken('networking.istio.io/v1')
const service = (namespace: string, name: string, clusterIP: string, ports: unknown): ResourceObject => spoken('v1')('Service', namespace, name, { clusterIP, ports, selector: { app: name } })
const sidecar = (namespace: string, address: string): RecordedProxy => ({ type: 'sidecar', namespace, ips: [address] })
const GATEWAY: RecordedProxy = { type: 'gateway', namespace: 'istio-system', ips: ['1.1.1.1'], labels: { istio: 'ingressgateway' } }

function answers(objects: readonly ResourceObject[], proxy: RecordedProxy, call: RecordedCall, expect: RecordedRow['expect'], source = 'probe'): void {
  const judged = judge(recordedWorld({ objects }, undefined), { id: 'made-up', config: '', proxy, call, expect, source })
  assert.ok(judged.pass, judged.why)
}

const to = (host: string, port: number, subset?: string) => [{ kind: 'service' as const, direction: 'outbound' as const, host, port, ...(subset === undefined ? {} : { subset }) }]

test('a ServiceEntry’s port without a protocol is sniffed, whatever it is called', () => {
  const objects = [istio('ServiceEntry', 'default', 'se', { hosts: ['foo.bar'], ports: [{ number: 81, name: 'http-13835' }], location: 'MESH_INTERNAL', resolution: 'STATIC', endpoints: [{ address: '1.1.1.1' }] })]
  answers(objects, sidecar('default', '1.1.1.1'), { direction: 'outbound', port: 81, protocol: 'tcp', tls: 'tls', sni: 'probe.example.org' }, { outcome: 'routed', to: to('foo.bar', 81) })
})

test('so is a port of a Sidecar’s ingress', () => {
  const objects = [istio('Sidecar', 'default', 'sidecar', { ingress: [{ port: { number: 80, name: 'http' }, defaultEndpoint: 'unix:///socket' }] })]
  answers(objects, sidecar('default', '1.2.3.4'), { direction: 'inbound', port: 80, protocol: 'tcp' }, { outcome: 'routed', to: [{ kind: 'workload-port', direction: 'inbound', port: 80 }] })
})

test('a server name that one match gives twice is one', () => {
  const route = [{ destination: { host: 'foo.bar', port: { number: 443 } } }]
  const objects = [
    istio('ServiceEntry', 'default', 'se', { hosts: ['foo.bar'], ports: [{ number: 443, name: 'tls', protocol: 'TLS' }], resolution: 'STATIC', endpoints: [{ address: '1.1.1.9' }] }),
    istio('Gateway', 'istio-system', 'gw', { servers: [{ port: { number: 443, protocol: 'TLS', name: 'tls' }, hosts: ['example.com'], tls: { mode: 'PASSTHROUGH' } }], selector: { istio: 'ingressgateway' } }),
    istio('VirtualService', 'istio-system', 'outside', { hosts: ['example.com'], gateways: ['gw'], tls: [{ match: [{ sniHosts: ['example.com', 'example.com'] }], route }] }),
    istio('VirtualService', 'default', 'inside', { hosts: ['foo.bar'], tls: [{ match: [{ sniHosts: ['foo.bar', 'foo.bar'] }], route }] }),
  ]
  answers(objects, GATEWAY, { direction: 'gateway', port: 443, protocol: 'tcp', tls: 'tls', sni: 'example.com' }, { outcome: 'routed', to: to('foo.bar', 443) })
  answers(objects, sidecar('default', '1.1.1.1'), { direction: 'outbound', port: 443, protocol: 'tcp', tls: 'tls', sni: 'foo.bar' }, { outcome: 'routed', to: to('foo.bar', 443) })
})

test('a host that a ServiceEntry names twice is one', () => {
  const objects = [istio('ServiceEntry', 'default', 'se', { hosts: ['foo.bar', 'foo.bar'], addresses: ['10.9.0.0/16'], ports: [{ number: 9999, name: 'tcp', protocol: 'TCP' }], resolution: 'NONE' })]
  answers(objects, sidecar('default', '1.1.1.1'), { direction: 'outbound', port: 9999, protocol: 'tcp', address: '10.9.0.1' }, { outcome: 'routed', to: to('foo.bar', 9999) })
})

test('a DestinationRule that is for other namespaces alone is nothing to its own', () => {
  const objects = [service('default', 'reviews', '10.96.0.7', [{ name: 'http', port: 9080 }]), istio('DestinationRule', 'default', 'reviews', { host: 'reviews', trafficPolicy: { tls: { mode: 'DISABLE' } }, exportTo: ['ns1'] })]
  const call: RecordedCall = { direction: 'outbound', port: 9080, protocol: 'http', host: 'reviews.default.svc.cluster.local', path: '/' }
  const host = 'reviews.default.svc.cluster.local'
  answers(objects, sidecar('default', '1.1.1.1'), call, { outcome: 'routed', to: to(host, 9080), upstream: { [`${host}:9080`]: { discovery: 'endpoints', tls: 'auto-mtls', lb: 'LEAST_REQUEST' } } })
  answers(objects, sidecar('ns1', '1.1.1.1'), call, { outcome: 'routed', to: to(host, 9080), upstream: { [`${host}:9080`]: { discovery: 'endpoints', tls: 'none', lb: 'LEAST_REQUEST' } } })
})

test('what the root namespace says of all services comes last at its own proxies too', () => {
  const rule = (namespace: string, host: string, mode: string, exportTo?: string[]) => istio('DestinationRule', namespace, 'rule', { host, trafficPolicy: { tls: { mode } }, ...(exportTo === undefined ? {} : { exportTo }) })
  const host = 'reviews.default.svc.cluster.local'
  const world = (exportTo?: string[]) => [service('default', 'reviews', '10.96.0.7', [{ name: 'http', port: 9080 }]), rule('default', host, 'ISTIO_MUTUAL'), rule('istio-system', '*.local', 'DISABLE', exportTo)]
  const call: RecordedCall = { direction: 'outbound', port: 9080, protocol: 'http', host, path: '/' }
  const upstream = (tls: 'ISTIO_MUTUAL' | 'none', sni?: string) => ({ [`${host}:9080`]: { discovery: 'endpoints' as const, tls, lb: 'LEAST_REQUEST', ...(sni === undefined ? {} : { sni }) } })
  answers(world(), sidecar('istio-system', '1.1.1.1'), call, { outcome: 'routed', to: to(host, 9080), upstream: upstream('ISTIO_MUTUAL', `outbound_.9080_._.${host}`) })
  answers(world(['.']), sidecar('istio-system', '1.1.1.1'), call, { outcome: 'routed', to: to(host, 9080), upstream: upstream('none') })
})

test('a delegate’s route one of whose matches goes beyond the root’s is none', () => {
  const host = 'cart.api.svc.cluster.local'
  const destination = (subset?: string) => [{ destination: { host: 'cart', port: { number: 8000 }, ...(subset === undefined ? {} : { subset }) } }]
  const world = (root: object, leaves: object[]) => [
    service('api', 'cart', '10.96.0.3', [{ name: 'http', port: 8000 }]),
    istio('Gateway', 'istio-system', 'g', { servers: [{ port: { number: 80, protocol: 'HTTP', name: 'http' }, hosts: ['*.shop.example'] }], selector: { istio: 'ingressgateway' } }),
    istio('DestinationRule', 'api', 'cart', { host: 'cart', subsets: [{ name: 'v2', labels: { version: 'v2' } }] }),
    istio('VirtualService', 'web', 'root', { hosts: ['www.shop.example'], gateways: ['istio-system/g'], http: [{ match: [root], delegate: { name: 'cart', namespace: 'api' } }] }),
    istio('VirtualService', 'api', 'cart', { http: [{ match: leaves, route: destination('v2') }, { route: destination() }] }),
  ]
  const call: RecordedCall = { direction: 'gateway', port: 80, protocol: 'http', host: 'www.shop.example', path: '/cart/v2', headers: { 'x-v': '1' } }
  const leads = (root: object, leaves: object[], subset?: string) => answers(world(root, leaves), GATEWAY, call, { outcome: 'routed', to: to(host, 8000, subset) })
  leads({ uri: { prefix: '/cart' } }, [{ uri: { prefix: '/cart/v2' } }], 'v2')
  leads({ uri: { prefix: '/cart' }, ignoreUriCase: true }, [{ uri: { prefix: '/cart/v2' } }])
  leads({ uri: { prefix: '/cart' } }, [{ uri: { prefix: '/cart/v2' } }, { uri: { prefix: '/elsewhere' } }])
  leads({ headers: { 'x-v': { prefix: '1' } } }, [{ headers: { 'x-v': { exact: '1' } } }], 'v2')
  leads({ headers: { 'x-v': { exact: '1' } } }, [{ headers: { 'x-v': { prefix: '1' } } }])
})

test('an HTTPRoute of a Service speaks for the Service’s own ports', () => {
  const route = spoken('gateway.networking.k8s.io/v1')('HTTPRoute', 'default', 'r', { parentRefs: [{ group: '', kind: 'Service', name: 'known' }], rules: [{ backendRefs: [{ group: '', kind: 'Service', name: 'alt', port: 80 }] }] })
  const objects = [service('default', 'known', '2.0.0.0', [{ name: 'http', port: 8080 }]), service('default', 'alt', '2.0.0.1', [{ name: 'http', port: 80 }]), route]
  const call = (port: number): RecordedCall => ({ direction: 'outbound', port, protocol: 'http', host: 'known.default.svc.cluster.local', path: '/' })
  answers(objects, sidecar('default', '1.1.1.1'), call(8080), { outcome: 'routed', to: to('alt.default.svc.cluster.local', 80) })
  answers(objects, sidecar('default', '1.1.1.1'), call(80), { outcome: 'routed', to: [{ kind: 'original-destination', direction: 'outbound' }] })
})

test('a service of the mesh that is found by name gets mTLS where its endpoints take it', () => {
  const objects = [istio('ServiceEntry', 'default', 'se', { hosts: ['foo.bar'], ports: [{ number: 5050, protocol: 'TCP', name: 'tcp' }], location: 'MESH_INTERNAL', resolution: 'DNS', endpoints: [{ address: 'a.foo.bar', labels: { 'security.istio.io/tlsMode': 'istio' } }] })]
  answers(objects, sidecar('default', '1.1.1.1'), { direction: 'outbound', port: 5050, protocol: 'tcp' }, { outcome: 'routed', to: to('foo.bar', 5050), upstream: { 'foo.bar:5050': { discovery: 'dns', tls: 'auto-mtls', lb: 'LEAST_REQUEST', endpoints: ['a.foo.bar:5050'] } } })
})

test('a service is reached at its ranges of addresses, though it has single ones too', () => {
  const objects = [istio('ServiceEntry', 'default', 'se', { hosts: ['foo.bar'], addresses: ['10.9.9.4', '10.8.0.0/16'], ports: [{ number: 22, name: 'tcp', protocol: 'TCP' }], resolution: 'NONE' })]
  for (const address of ['10.9.9.4', '10.8.1.1']) answers(objects, sidecar('default', '1.1.1.1'), { direction: 'outbound', port: 22, protocol: 'tcp', address }, { outcome: 'routed', to: to('foo.bar', 22) })
  answers(objects, sidecar('default', '1.1.1.1'), { direction: 'outbound', port: 22, protocol: 'tcp', address: '10.7.1.1' }, { outcome: 'routed', to: [{ kind: 'original-destination', direction: 'outbound' }] })
})

test('a request that names no host is not passed on, but for rows of Istio’s own tables, where any host will do', () => {
  const call: RecordedCall = { direction: 'inbound', port: 9999, protocol: 'http', path: '/' }
  answers([], sidecar('default', '1.1.1.1'), call, { outcome: 'not-found' })
  answers([], sidecar('default', '1.1.1.1'), call, { outcome: 'routed', to: [{ kind: 'original-destination', direction: 'inbound' }], http: { retries: { attempts: 2, on: 'reset-before-request' } } }, 'test')
  answers([], sidecar('default', '1.1.1.1'), { ...call, host: 'any.example' }, { outcome: 'routed', to: [{ kind: 'original-destination', direction: 'inbound' }], http: { retries: { attempts: 2, on: 'reset-before-request' } } })
})

test('of two hosts with one range of addresses the first has it', () => {
  const objects = [istio('ServiceEntry', 'default', 'se', { hosts: ['foo.bar', '*.wild.example'], addresses: ['10.9.0.0/16'], ports: [{ number: 9999, name: 'tcp', protocol: 'TCP' }], resolution: 'NONE' })]
  answers(objects, sidecar('default', '1.1.1.1'), { direction: 'outbound', port: 9999, protocol: 'tcp', address: '10.9.0.1' }, { outcome: 'routed', to: to('*.wild.example', 9999) })
})

test('a rule for a host that is for other workloads leaves none for a wildcard above it, and says nothing to other namespaces', () => {
  const host = 'cart.api.svc.cluster.local'
  const off = { tls: { mode: 'DISABLE' } }
  const objects = [
    service('api', 'cart', '10.96.0.3', [{ name: 'http', port: 8000 }]),
    istio('DestinationRule', 'api', 'wide', { host: '*.api.svc.cluster.local', trafficPolicy: off }),
    istio('DestinationRule', 'api', 'narrow', { host, workloadSelector: { matchLabels: { app: 'db' } }, trafficPolicy: { connectionPool: { tcp: { maxConnections: 3 } } } }),
  ]
  const call: RecordedCall = { direction: 'outbound', port: 8000, protocol: 'http', host, path: '/' }
  const upstream = (tls: 'auto-mtls' | 'none') => ({ [`${host}:8000`]: { discovery: 'endpoints' as const, tls, lb: 'LEAST_REQUEST' } })
  answers(objects, sidecar('api', '1.1.1.1'), call, { outcome: 'routed', to: to(host, 8000), upstream: upstream('auto-mtls') })
  answers(objects, sidecar('web', '1.1.1.1'), call, { outcome: 'routed', to: to(host, 8000), upstream: upstream('none') })
})

test('a wildcard that stands for services is not served at port 80 for those that do not have it', () => {
  const objects = [
    service('default', 'a', '10.96.0.1', [{ name: 'http', port: 80 }]),
    service('default', 'b', '10.96.0.2', [{ name: 'http', port: 8080 }]),
    istio('VirtualService', 'default', 'wide', { hosts: ['*.cluster.local'], http: [{ route: [{ destination: { host: 'a.default.svc.cluster.local', port: { number: 80 } } }] }] }),
  ]
  const call = (port: number): RecordedCall => ({ direction: 'outbound', port, protocol: 'http', host: 'b.default.svc.cluster.local', path: '/' })
  answers(objects, sidecar('default', '1.1.1.1'), call(8080), { outcome: 'routed', to: to('a.default.svc.cluster.local', 80) })
  answers(objects, sidecar('default', '1.1.1.1'), call(80), { outcome: 'routed', to: [{ kind: 'original-destination', direction: 'outbound' }] })
})

test('of two ranges of IPv6 that are one but for bits that do not count the first has it', () => {
  const entry = (name: string, host: string, address: string) => istio('ServiceEntry', 'default', name, { hosts: [host], addresses: [address], ports: [{ number: 9999, name: 'tcp', protocol: 'TCP' }] })
  const objects = [entry('se1', 'blah1.somedomain', '1234:1f1:123:123:f816:3eff:feb8:2287/32'), entry('se2', 'blah2.somedomain', '1234:1f1:123:123:f816:3eff:febf:57ce/32')]
  answers(objects, sidecar('default', '1234::1234'), { direction: 'outbound', port: 9999, protocol: 'tcp', address: '1234:1f1:1:1:1:1:1:1' }, { outcome: 'routed', to: to('blah1.somedomain', 9999) })
})

test('TLS into a range of addresses is for the service whose name it bears', () => {
  const objects = [istio('ServiceEntry', 'default', 'se', { hosts: ['foo.bar'], addresses: ['10.9.0.0/16'], ports: [{ number: 9999, name: 'tls', protocol: 'TLS' }] })]
  const call = (sni: string): RecordedCall => ({ direction: 'outbound', port: 9999, protocol: 'tcp', tls: 'tls', sni, address: '10.9.0.1' })
  answers(objects, sidecar('default', '1.1.1.1'), call('foo.bar'), { outcome: 'routed', to: to('foo.bar', 9999) })
  answers(objects, sidecar('default', '1.1.1.1'), call('other.bar'), { outcome: 'routed', to: [{ kind: 'original-destination', direction: 'outbound' }] })
})

test('what is for the port of captured connections itself goes nowhere', () => {
  answers([], sidecar('default', '1.1.1.1'), { direction: 'outbound', port: 15006, protocol: 'tcp' }, { outcome: 'blocked' })
  answers([], sidecar('default', '1.1.1.1'), { direction: 'outbound', port: 15001, protocol: 'tcp' }, { outcome: 'blocked' })
  answers([], sidecar('default', '1.1.1.1'), { direction: 'inbound', port: 15006, protocol: 'tcp' }, { outcome: 'blocked' })
})

test('plaintext of a gateway’s port is what its oldest server says', () => {
  const gateway = (name: string, protocol: string) => istio('Gateway', 'default', name, { selector: { istio: 'ingressgateway' }, servers: [{ port: { number: 80, name: 'a', protocol }, hosts: ['foo.bar'] }] })
  const call: RecordedCall = { direction: 'gateway', port: 80, protocol: 'http', host: 'foo.bar', path: '/' }
  answers([gateway('alpha', 'TCP'), gateway('beta', 'HTTP')], GATEWAY, call, { outcome: 'refused' })
  answers([gateway('alpha', 'HTTP'), gateway('beta', 'TCP')], GATEWAY, call, { outcome: 'not-found' })
})

test('a Gateway for a Service is for the processes behind one of its own namespace', () => {
  const world = (namespace: string) => [
    { ...istio('Gateway', 'istio-system', 'gateway', { servers: [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['foo.bar'] }] }), metadata: { name: 'gateway', namespace: 'istio-system', annotations: { 'internal.istio.io/gateway-service': 'gw.other.svc.cluster.local' } } },
    istio('ServiceEntry', namespace, 'gw', { hosts: ['gw.other.svc.cluster.local'], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'STATIC', location: 'MESH_INTERNAL', endpoints: [{ address: '1.1.1.1' }] }),
  ]
  const call: RecordedCall = { direction: 'gateway', port: 80, protocol: 'http', host: 'foo.bar', path: '/' }
  answers(world('other'), GATEWAY, call, { outcome: 'refused' })
  answers(world('istio-system'), GATEWAY, call, { outcome: 'not-found' })
})
