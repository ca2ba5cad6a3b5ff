import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import type { CallOutcome } from '#core/contract/impact.ts'
import type { ProxyStatus } from '#core/contract/proxy-status.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import type { Change } from '#db/store.ts'
import { MeshModel } from '../model/mesh-model.ts'
import { nodeFrom, putChange, storedFrom, workloadChange, workloadFrom } from '../translate/testing/mesh-case.ts'
import { MeshViews } from '../translate/view.ts'
import { CallsSeen } from './calls-seen.ts'
import { impactOn } from './impact.ts'
import type { Traffic } from './window.ts'

const shopFolder = new URL('../../examples/shop/config/', import.meta.url)
const shop = (): ResourceObject[] =>
  readdirSync(shopFolder)
    .sort()
    .flatMap((file) => parseAllDocuments(readFileSync(new URL(file, shopFolder), 'utf8')).map((document) => document.toJS() as ResourceObject))

const pem = '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n'
const certificate: ResourceObject = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'api-tls-cert', namespace: 'istio-ingress' }, stringData: { 'tls.crt': pem, 'tls.key': pem } }

const members: readonly { readonly name: string; readonly account: string; readonly labels: Record<string, string>; readonly address: string }[] = [
  { name: 'client', account: 'client', labels: { app: 'client' }, address: '127.0.1.1' },
  { name: 'order-v1', account: 'order-service', labels: { app: 'order-service', version: 'v1' }, address: '127.0.1.2' },
  { name: 'order-v2', account: 'order-service', labels: { app: 'order-service', version: 'v2' }, address: '127.0.1.3' },
  { name: 'payment-v1', account: 'payment-service', labels: { app: 'payment-service', version: 'v1' }, address: '127.0.1.4' },
]

/** The shop with its proxies connected, as the control plane has it in memory. */
function runningShop(objects: readonly ResourceObject[] = shop()) {
  const model = new MeshModel({ trustDomain: 'cluster.local' })
  const views = new MeshViews(model)
  const changes: Change[] = [
    ...[...objects, certificate].map((object, index) => putChange(storedFrom(object, index + 1))),
    ...members.map(({ name, account, labels, address }, index) =>
      workloadChange(workloadFrom({ name, namespace: 'prod', serviceAccount: account, labels, address, ...(name === 'client' ? {} : { ports: [{ port: 8080, name: 'http', listen: 15006 }] }) }), 100 + index),
    ),
    workloadChange(workloadFrom({ name: 'api-gateway', namespace: 'istio-ingress', serviceAccount: 'api-gateway', labels: { istio: 'ingressgateway' }, address: '127.0.1.9', mutualTls: false }), 110),
  ]
  views.apply(changes, 110)
  const nodes = members.map(({ name, account, labels, address }) =>
    nodeFrom({ name, namespace: 'prod', serviceAccount: account, labels, address, outbound: `${address}:15001`, ...(name === 'client' ? {} : { ports: [{ port: 8080, name: 'http', listen: 15006 }] }) }),
  )
  const gateway = nodeFrom({ type: 'router', name: 'api-gateway', namespace: 'istio-ingress', serviceAccount: 'api-gateway', labels: { istio: 'ingressgateway' }, address: '127.0.1.9', gatewayPorts: { 443: 8443, 80: 8080 } })
  const held = [...nodes, gateway].map((node) => views.viewFor(node, undefined))
  const [client, order] = nodes
  const calls = new CallsSeen()
  const say = (node: typeof gateway | undefined, cluster: string, call: NonNullable<Traffic['calls']>[number]) => {
    assert.ok(node)
    calls.report(node, { atMs: 1_700_000_000_000, spanMs: 1000, traffic: [{ cluster, endpoint: '', succeeded: 1, failed: 0, durations: [], mutualTls: 1, calls: [call] }] })
  }
  say(client, 'outbound|8080|v1|order-service.prod.svc.cluster.local', { port: 15001, tls: false, method: 'GET', authority: 'order-service:8080', path: '/orders/{n}' })
  say(client, 'outbound|8080|v1|order-service.prod.svc.cluster.local', { port: 15001, tls: false, method: 'POST', authority: 'order-service:8080', path: '/orders' })
  say(order, 'outbound|8080||payment-service.prod.svc.cluster.local', { port: 15001, tls: false, method: 'POST', authority: 'payment-service:8080', path: '/api/pay' })
  say(gateway, 'outbound|8080||order-service.prod.svc.cluster.local', { port: 8443, tls: true, method: 'GET', authority: 'api.example.com', path: '/orders' })
  const mesh = { id: 'm', organizationId: 'o', model, views }
  return {
    model,
    views,
    held,
    calls,
    gateway,
    /** What storing these would do; `null` deletes. */
    impact(puts: readonly ResourceObject[], removed: readonly ResourceObject[] = [], statuses: readonly ProxyStatus[] = []) {
      const revision = model.revision + 1
      return impactOn(
        mesh,
        [
          ...puts.map((object) => ({ key: storedFrom(object, revision).key, verdict: 'configured' as const, stored: storedFrom(object, revision) })),
          ...removed.map((object) => ({ key: storedFrom(object, revision).key, verdict: 'deleted' as const, stored: undefined })),
        ],
        calls.list(),
        statuses,
      )
    },
  }
}

function changed(kind: string, name: string, change: (spec: Record<string, unknown>) => unknown): ResourceObject {
  const object = shop().find((one) => one.kind === kind && one.metadata.name === name)
  assert.ok(object)
  return { ...object, spec: change(structuredClone(object.spec) as Record<string, unknown>) as NonNullable<ResourceObject['spec']> }
}

const policy = (spec: object): ResourceObject => ({ apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', metadata: { name: 'closed', namespace: 'prod' }, spec })
const words = ({ outcome, status, by, to }: CallOutcome): string => [outcome, status ?? '', by?.resource ?? '', ...to.map((one) => `${one.subset}:${one.weight}:${one.endpoints}`)].join(' ')

test('a change of weights changes one route table of those who hold it, and the calls that it splits', () => {
  const running = runningShop()
  const impact = running.impact([
    changed('VirtualService', 'order-service', (spec) => {
      const [http] = spec['http'] as { route: { weight: number }[] }[]
      http?.route.forEach((one) => (one.weight = 50))
      return spec
    }),
  ])
  assert.deepEqual(impact.groups.map(({ proxies, resources }) => ({ proxies, resources: resources.map(({ type, name, change }) => [type.slice(type.lastIndexOf('.') + 1), name, change]) })), [
    {
      proxies: ['client.prod', 'order-v1.prod', 'order-v2.prod', 'payment-v1.prod'],
      resources: [
        ['RouteConfiguration', 'outbound|8080||order-service.prod.svc.cluster.local', 'changed'],
        ['RouteConfiguration', 'outbound|80||order-service.prod.svc.cluster.local', 'changed'],
      ],
    },
  ])
  assert.ok(impact.groups[0]?.resources.every((one) => one.origins.includes('VirtualService/prod/order-service')))
  assert.deepEqual(impact.proxies, { total: 4, affected: 4 })
  assert.deepEqual(impact.workloads, [{ name: 'prod/order-service', proxies: 2 }, { name: 'prod/client', proxies: 1 }, { name: 'prod/payment-service', proxies: 1 }])
  assert.deepEqual(impact.calls.map((one) => `${one.from} ${one.method} ${one.url}: ${words(one.before)} → ${words(one.after)}`).sort(), [
    'client.prod GET http://order-service:8080/orders/{n}: routed  VirtualService/prod/order-service v1:90:1 v2:10:1 → routed  VirtualService/prod/order-service v1:50:1 v2:50:1',
    'client.prod POST http://order-service:8080/orders: routed  VirtualService/prod/order-service v1:90:1 v2:10:1 → routed  VirtualService/prod/order-service v1:50:1 v2:50:1',
  ])
  assert.equal(impact.callsSeen, 4)
  assert.equal(impact.callsUnknown, 0)
})

test('a DENY policy names the calls that it would end, those through the gateway included, and leaves the others', () => {
  const impact = runningShop().impact([policy({ selector: { matchLabels: { app: 'order-service' } }, action: 'DENY', rules: [{ to: [{ operation: { methods: ['GET'] } }] }] })])
  assert.deepEqual(impact.groups.map((one) => one.proxies), [['order-v1.prod', 'order-v2.prod']])
  assert.deepEqual(impact.calls.map((one) => `${one.from} ${one.method} ${one.url}`).sort(), ['client.prod GET http://order-service:8080/orders/{n}', 'gateway:api-gateway.istio-ingress GET https://api.example.com/orders'])
  for (const { before, after } of impact.calls) {
    assert.equal(before.outcome, 'routed')
    assert.deepEqual([after.outcome, after.status, after.by?.resource], ['refused', 403, 'AuthorizationPolicy/prod/closed'])
  }
})

test('a subset that goes takes its cluster and the share that was sent to it', () => {
  const impact = runningShop().impact([changed('DestinationRule', 'order-service', (spec) => ({ ...spec, subsets: (spec['subsets'] as unknown[]).slice(0, 1) }))])
  assert.ok(impact.groups[0]?.resources.some((one) => one.change === 'removed' && one.name === 'outbound|8080|v2|order-service.prod.svc.cluster.local'))
  const get = impact.calls.find((one) => one.method === 'GET' && one.from === 'client.prod')
  assert.ok(get)
  assert.match(words(get.before), /v1:90:1 v2:10:1$/)
  assert.match(words(get.after), /v1:90:1 v2:10:0$/)
})

test('a Sidecar that hides a service from its callers ends the calls to it, and no proxy elsewhere is touched', () => {
  const sidecar: ResourceObject = { apiVersion: 'networking.istio.io/v1', kind: 'Sidecar', metadata: { name: 'default', namespace: 'prod' }, spec: { egress: [{ hosts: ['./order-service.prod.svc.cluster.local'] }] } }
  const impact = runningShop().impact([sidecar])
  assert.ok(impact.groups.every((group) => group.proxies.every((name) => name.endsWith('.prod'))))
  assert.deepEqual(impact.calls.map((one) => `${one.from} ${one.url}`), ['order-v1.prod http://payment-service:8080/api/pay'])
  assert.equal(impact.calls[0]?.before.to[0]?.host, 'payment-service.prod.svc.cluster.local')
  assert.notEqual(impact.calls[0]?.after.to[0]?.host, 'payment-service.prod.svc.cluster.local')
})

test('STRICT changes the callees alone, and ends the calls that come in plaintext', () => {
  const open = shop().map((object) => (object.kind === 'PeerAuthentication' ? { ...object, spec: { mtls: { mode: 'PERMISSIVE' } } } : object))
  const strict = open.filter((object) => object.kind === 'PeerAuthentication').map((object) => ({ ...object, spec: { mtls: { mode: 'STRICT' } } }))
  const secured = runningShop(open).impact(strict)
  assert.deepEqual(secured.calls, [])
  assert.deepEqual(secured.groups.flatMap((one) => one.proxies).sort(), ['order-v1.prod', 'order-v2.prod', 'payment-v1.prod'])
  const plain = { trafficPolicy: { tls: { mode: 'DISABLE' } } }
  const rule: ResourceObject = { apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata: { name: 'payment', namespace: 'prod' }, spec: { host: 'payment-service', ...plain } }
  const unguarded = open.filter((object) => object.kind !== 'AuthorizationPolicy')
  const impact = runningShop([...unguarded, rule]).impact(strict)
  assert.deepEqual(impact.calls.map((one) => [one.from, one.before.outcome, one.after.outcome, one.after.why]), [['order-v1.prod', 'routed', 'refused', 'the callee takes mTLS only']])
})

test('a caller that tells no more than the service is asked with a method and path that are said to be assumed; a gateway that does is not', () => {
  const running = runningShop()
  const [client] = running.views.nodes().filter((node) => node.name === 'client')
  assert.ok(client)
  const bare = { endpoint: '', succeeded: 1, failed: 0, durations: undefined, mutualTls: undefined }
  running.calls.report({ ...client, name: 'legacy', labels: { app: 'legacy' }, engine: 'envoy' }, { atMs: 1, spanMs: 1, traffic: [{ ...bare, cluster: 'outbound|8080||payment-service.prod.svc.cluster.local' }] })
  running.calls.report({ ...client, labels: { app: 'other' }, engine: 'envoy' }, { atMs: 1, spanMs: 1, traffic: [{ ...bare, cluster: 'outbound|8080|v1|order-service.prod.svc.cluster.local' }] })
  running.calls.report({ ...running.gateway, engine: 'envoy', labels: { istio: 'ingressgateway', a: 'b' } }, { atMs: 1, spanMs: 1, traffic: [{ ...bare, cluster: 'outbound|8080||order-service.prod.svc.cluster.local' }] })
  const impact = running.impact([policy({ selector: { matchLabels: { app: 'order-service' } }, action: 'DENY', rules: [{}] })])
  assert.deepEqual(impact.calls.filter((one) => one.assumed).map((one) => `${one.from} ${one.method} ${one.url}`), ['client.prod GET http://order-service.prod.svc.cluster.local:8080/'])
  assert.equal(impact.callsUnknown, 1, 'the gateway')
})

test('a proxy at another replica is counted as its workload describes it', () => {
  const running = runningShop()
  for (const view of running.held.slice(1)) view.release()
  const status = (name: string, namespace: string, type: string): ProxyStatus => ({ node: { id: `${type}~elsewhere~${name}`, name, namespace, type, engine: 'weft', version: '', cluster: '' }, identity: undefined, connectedAtMs: 0, syncedRevision: 0, viewRevision: 0, types: [] })
  const impact = running.impact([policy({ selector: { matchLabels: { app: 'payment-service' } }, action: 'DENY', rules: [{}] })], [], [status('client', 'prod', 'sidecar'), status('payment-v1', 'prod', 'sidecar'), status('api-gateway', 'istio-ingress', 'router')])
  assert.deepEqual(impact.groups.map((one) => one.proxies), [['payment-v1.prod']])
  assert.deepEqual(impact.proxies, { total: 3, affected: 1 })
  assert.deepEqual(running.views.nodes().map((node) => node.name), ['client'], 'and nothing of it stays')
})

test('the set of calls is bounded, and those seen lately stay', () => {
  const calls = new CallsSeen()
  const node = nodeFrom({ name: 'a', namespace: 'prod' })
  const call = (n: number) => ({ port: 15001, tls: false, method: 'GET', authority: `s${n}`, path: '/' })
  const report = (n: number) => calls.report(node, { atMs: n, spanMs: 1, traffic: [{ cluster: 'outbound|80||s.prod.svc.cluster.local', endpoint: '', succeeded: 1, failed: 0, durations: undefined, mutualTls: undefined, calls: [call(n)] }] })
  for (let n = 0; n < 1000; n++) report(n)
  report(0)
  for (let n = 1000; n < 1500; n++) report(n)
  const names = calls.list().map((one) => one.http?.authority)
  assert.equal(names.length, 1000)
  assert.equal(names[0], 's1499')
  assert.ok(names.includes('s0') && !names.includes('s1'))
})
