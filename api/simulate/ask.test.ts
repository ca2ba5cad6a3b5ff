import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { Faults } from '#core/fault/fault.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { ask } from './ask.ts'
import { differences } from './expect.ts'
import { workloadFrom } from './workload-words.ts'
import { worldOf } from './world.ts'

const mesh = `
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { clusterIP: 10.96.0.2, selector: { app: cart }, ports: [ { name: http, port: 80, targetPort: 8080 } ] }
---
apiVersion: v1
kind: Service
metadata: { name: db, namespace: data }
spec: { clusterIP: 10.96.0.3, selector: { app: db }, ports: [ { name: tcp-sql, port: 5432 } ] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: cart, namespace: shop }
spec:
  hosts: [ cart ]
  http:
  - match: [ { uri: { prefix: /old } } ]
    redirect: { uri: /new }
  - match: [ { headers: { x-canary: { exact: "yes" } } } ]
    rewrite: { uri: /v2, authority: cart.internal }
    headers: { request: { set: { x-way: canary } } }
    timeout: 3s
    retries: { attempts: 4 }
    mirror: { host: cart }
    mirrorPercentage: { value: 10 }
    route: [ { destination: { host: cart } } ]
  - route: [ { destination: { host: cart } } ]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: shop }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-web, namespace: data }
spec: { action: DENY, selector: { matchLabels: { app: db } }, rules: [ { from: [ { source: { namespaces: [ shop ] } } ] } ] }
`

const objects = parseAllDocuments(mesh).map((document) => document.toJS() as ResourceObject)
const workloads = [
  { name: 'client', namespace: 'shop' },
  { name: 'plain', namespace: 'shop', mutualTls: false },
  { name: 'cart-1', namespace: 'shop', serviceAccount: 'cart', labels: { app: 'cart' }, ports: [8080] },
  { name: 'db-1', namespace: 'data', labels: { app: 'db' }, ports: [5432] },
].map(workloadFrom)
const world = worldOf({ objects, workloads })

test('a captured request goes by the address that its host resolves to, through both proxies', () => {
  const trail = ask(world, { from: 'client.shop', url: 'http://cart/' })
  assert.equal(trail.outcome, 'routed')
  assert.deepEqual(trail.to.map(({ host, port, endpoints }) => [host, port, endpoints]), [['cart.shop.svc.cluster.local', 80, ['198.18.0.3:8080']]])
  assert.deepEqual(trail.steps.filter((step) => step.side === 'server').map((step) => step.kind), ['listener', 'chain', 'transport', 'application'])
})

test('an expectation judges what it names, and says what came instead', () => {
  const trail = ask(world, { from: 'client.shop', url: 'http://cart.shop/', headers: { 'x-canary': 'yes' } })
  assert.deepEqual(
    differences({ outcome: 'routed', rewrite: { path: '/v2', authority: 'cart.internal' }, headers: { 'X-Way': 'canary' }, timeout: '3s', retries: 4, mirrors: [{ host: 'cart.shop.svc.cluster.local', percent: 10 }], by: 'VirtualService/shop/cart' }, trail),
    [],
  )
  assert.deepEqual(differences({ timeout: '4s', to: [{ subset: 'v1' }] }, trail), ['timeout of ms 4000 was expected, 3000 came', 'to v1 was expected, cart.shop.svc.cluster.local:80 100 % came'])
  assert.deepEqual(differences({ outcome: 'redirect', location: 'http://cart/new' }, ask(world, { from: 'client.shop', url: 'http://cart/old' })), [])
})

test('opaque bytes are followed to the callee and refused by its policy', () => {
  const trail = ask(world, { from: 'client.shop', url: 'tcp://db.data:5432' })
  assert.deepEqual([trail.outcome, trail.status, trail.by?.resource], ['refused', undefined, 'AuthorizationPolicy/data/no-web'])
})

test('a caller without a proxy is refused where mTLS is required', () => {
  const trail = ask(world, { from: 'outside', url: 'http://cart.shop/' })
  assert.deepEqual([trail.outcome, trail.why], ['refused', 'the callee takes mTLS only'])
})

test('who or what is not there is said by name', () => {
  const codes = (asked: Parameters<typeof ask>[1]): string[] => {
    try {
      ask(world, asked)
      return []
    } catch (error) {
      return error instanceof Faults ? error.faults.map((one) => one.code) : [String(error)]
    }
  }
  assert.deepEqual(codes({ from: 'nobody.shop', url: 'http://cart/' }), ['object.not-found'])
  assert.deepEqual(codes({ from: 'gateway:edge.shop', url: 'http://cart/' }), ['object.not-found'])
  assert.deepEqual(codes({ from: 'outside', url: 'http://nobody.example/' }), ['object.not-found'])
  assert.deepEqual(codes({ from: 'client', url: 'http://cart/' }), ['request.invalid'])
  assert.deepEqual(codes({ from: 'client.shop', url: 'ftp://cart/' }), ['request.invalid'])
})
