import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MeshModel } from '#api/model/mesh-model.ts'
import type { ResourceView, ViewChange } from '#api/serve/resource.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { SECRET, typeUrls } from '#core/wire/type-url.ts'
import type { Change } from '#db/store.ts'
import { deleteChange, listed, nodeFrom, putChange, storedFrom, versions, workloadChange, workloadFrom } from './testing/mesh-case.ts'
import { MeshViews } from './view.ts'

const object = (apiVersion: string, kind: string, namespace: string, name: string, rest: object): ResourceObject => ({ apiVersion, kind, metadata: { name, namespace, creationTimestamp: '2026-01-01T00:00:00Z' }, ...rest })
const networking = 'networking.istio.io/v1'
const security = 'security.istio.io/v1'
const to = (host: string, subset?: string) => ({ destination: { host, ...(subset === undefined ? {} : { subset }) } })

/** Versions of a handful of objects that lean on each other in every way that the model knows of. */
const objects: readonly (readonly ResourceObject[])[] = [
  ['a', 'b'].flatMap((name) => [object('v1', 'Service', 'prod', name, { spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }], clusterIP: '10.0.0.1' } })]),
  [{ app: 'a' }, { app: 'b' }, { tier: 'x' }].map((selector) => object('v1', 'Service', 'prod', 'c', { spec: { selector, ports: [{ name: 'http', port: 80, targetPort: 8080 }, { name: 'tcp', port: 9000 }] } })),
  [{ hosts: ['a'] }, { hosts: ['b', 'a.example.com'] }, { hosts: ['*.prod.svc.cluster.local'] }, { hosts: ['a'], exportTo: ['.'] }, { hosts: ['a'], gateways: ['mesh', 'edge/edge'] }].map((spec) => object(networking, 'VirtualService', 'prod', 'first', { spec: { ...spec, http: [{ route: [to('b')] }] } })),
  [
    { hosts: ['a'], http: [{ route: [to('a', 'v1')] }] },
    { hosts: ['*.example.com'], gateways: ['edge/edge'], http: [{ match: [{ uri: { prefix: '/x' } }], route: [to('c')] }] },
    { hosts: ['b'], http: [{ match: [{ sourceLabels: { app: 'client' } }], route: [to('c')] }] },
    { hosts: ['www.example.com'], gateways: ['edge/edge'], http: [{ delegate: { name: 'third' } }] },
  ].map((spec) => object(networking, 'VirtualService', 'prod', 'second', { spec })),
  [{ http: [{ route: [to('a')] }] }, { hosts: ['c'], http: [{ directResponse: { status: 204 } }] }].map((spec) => object(networking, 'VirtualService', 'prod', 'third', { spec })),
  [
    { host: 'a', subsets: [{ name: 'v1', labels: { version: 'v1' } }] },
    { host: '*.prod.svc.cluster.local', trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } },
    { host: 'a', exportTo: ['.'], trafficPolicy: { outlierDetection: { consecutive5xxErrors: 3 } } },
  ].map((spec) => object(networking, 'DestinationRule', 'prod', 'rule', { spec })),
  [{ host: 'a.prod.svc.cluster.local', trafficPolicy: { loadBalancer: { consistentHash: { useSourceIp: true } } } }].map((spec) => object(networking, 'DestinationRule', 'other', 'rule', { spec })),
  [
    { hosts: ['a.prod'], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'DNS' },
    { hosts: ['b.prod.svc.cluster.local', '*.wild.com'], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'STATIC', addresses: ['10.0.0.1'], workloadSelector: { labels: { app: 'a' } } },
  ].map((spec) => object(networking, 'ServiceEntry', 'elsewhere', 'entry', { spec })),
  [{ mtls: { mode: 'STRICT' } }, { mtls: { mode: 'DISABLE' } }, { selector: { matchLabels: { app: 'a' } }, mtls: { mode: 'DISABLE' } }].map((spec) => object(security, 'PeerAuthentication', 'prod', 'default', { spec })),
  [{ mtls: { mode: 'STRICT' } }].map((spec) => object(security, 'PeerAuthentication', 'istio-system', 'default', { spec })),
  [{}, { action: 'DENY', rules: [{}] }, { selector: { matchLabels: { app: 'b' } }, rules: [{}] }].map((spec) => object(security, 'AuthorizationPolicy', 'prod', 'policy', { spec })),
  [
    [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }],
    [{ port: { number: 443, name: 'https', protocol: 'HTTPS' }, hosts: ['*.example.com'], tls: { mode: 'SIMPLE', credentialName: 'cert' } }],
  ].map((servers) => object(networking, 'Gateway', 'edge', 'edge', { spec: { selector: { istio: 'ingress' }, servers } })),
  ['one', 'two'].map((text) => object('v1', 'Secret', 'edge', 'cert', { type: 'kubernetes.io/tls', stringData: { 'tls.crt': `-----BEGIN CERTIFICATE----- ${text}`, 'tls.key': '-----BEGIN PRIVATE KEY----- canary' } })),
]

const workloads = ['w1', 'w2', 'w3'].flatMap((name, index) =>
  ([{ app: 'a', version: 'v1' }, { app: 'b' }, { app: 'a', tier: 'x' }] as Record<string, string>[]).map((labels) =>
    workloadFrom({ name, namespace: 'prod', serviceAccount: `sa-${labels['app']}`, labels, address: `10.1.0.${index}`, ports: [{ port: 8080, name: 'http' }], health: index === 2 ? 'draining' : 'healthy' }),
  ),
)

const nodes = [
  nodeFrom({ name: 'client', namespace: 'other', labels: { app: 'client' }, outbound: '127.0.0.1:15001' }),
  nodeFrom({ name: 'a', namespace: 'prod', labels: { app: 'a' }, address: '10.1.0.9', outbound: '127.0.0.1:15001', ports: [{ port: 8080, name: 'http' }] }),
  nodeFrom({ type: 'router', name: 'edge', namespace: 'edge', labels: { istio: 'ingress' } }),
  nodeFrom({ name: 'captured', namespace: 'prod', labels: { app: 'a' }, address: '10.1.0.8' }),
]

type Step = readonly [subject: number, version: number | undefined]
const step: fc.Arbitrary<Step> = fc.tuple(fc.integer({ min: 0, max: objects.length + 2 }), fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined, freq: 3 }))

function changeOf([subject, version]: Step, revision: number): Change {
  const choices = objects[subject]
  if (choices === undefined) {
    const of = workloads.slice((subject - objects.length) * 3, (subject - objects.length) * 3 + 3)
    const workload = of[(version ?? 0) % 3]
    if (workload === undefined) throw new Error('no such workload')
    return version === undefined ? { revision, of: 'workload', namespace: workload.namespace, name: workload.name, workload: undefined } : workloadChange(workload, revision)
  }
  const chosen = choices[(version ?? 0) % choices.length]
  if (chosen === undefined) throw new Error('no such object')
  return version === undefined ? deleteChange(storedFrom(chosen, revision), revision) : putChange(storedFrom(chosen, revision))
}

/** What stands after all steps, each subject once. */
function standing(steps: readonly Step[]): Change[] {
  const last = new Map<string, Change>()
  for (const [index, one] of steps.entries()) {
    const change = changeOf(one, index + 1)
    if (change.of === 'resource') last.set(`${change.key.kind}/${change.key.namespace}/${change.key.name}`, change)
    if (change.of === 'workload') last.set(`${change.namespace}/${change.name}`, change)
  }
  return [...last.values()].filter((one) => (one.of === 'resource' ? one.stored !== undefined : one.of === 'workload' && one.workload !== undefined))
}

/** What a client holds that began with `list` and took every change in. */
function follow(view: ResourceView): () => Record<string, string> {
  const held = new Map(Object.entries(versions(view)))
  view.subscribe((change: ViewChange) => {
    for (const one of change.changed) if (one.type !== SECRET) held.set(`${one.type} ${one.name}`, one.version)
    for (const one of change.removed) held.delete(`${one.type} ${one.name}`)
  })
  return () => Object.fromEntries(held)
}

const begin = () => {
  const model = new MeshModel({ trustDomain: 'cluster.local' })
  return new MeshViews(model)
}

test('after any sequence of changes a view equals one built from nothing, in any order, and so does what its changes add up to', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 3 }), fc.infiniteStream(fc.nat()), (steps, sizes, draws) => {
      const views = begin()
      const followed = nodes.map((node) => views.viewFor(node, undefined))
      const held = followed.map(follow)
      let revision = 0
      for (let at = 0; at < steps.length; ) {
        const size = 1 + (sizes[at % sizes.length] ?? 0)
        const batch = steps.slice(at, at + size).map((one) => changeOf(one, ++revision))
        views.apply(batch, revision)
        at += size
      }
      const fresh = begin()
      const shuffled = standing(steps).map((change) => ({ change, draw: draws.next().value ?? 0 })).sort((a, b) => a.draw - b.draw)
      fresh.apply(shuffled.map((one) => one.change), revision)
      for (const [index, node] of nodes.entries()) {
        const expected = versions(fresh.viewFor(node, undefined))
        const view = followed[index]
        assert.ok(view)
        assert.deepEqual(versions(view), expected)
        assert.deepEqual(held[index]?.(), expected)
        assert.equal(view.revision, revision)
      }
    }),
    { numRuns: 150 },
  )
})

test('a rehearsed change says what the same change then does, and leaves everything as it was until then', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), fc.array(step, { minLength: 1, maxLength: 3 }), (steps, rehearsed) => {
      const views = begin()
      const followed = nodes.map((node) => views.viewFor(node, undefined))
      for (const [index, one] of steps.entries()) views.apply([changeOf(one, index + 1)], index + 1)
      const revision = steps.length
      const changes = rehearsed.map((one, index) => changeOf(one, revision + index + 1))
      const stands = new Map(steps.map((one, index) => changeOf(one, index + 1)).map((change) => [placeOf(change), change]))
      const back = changes.map((change) => stands.get(placeOf(change)) ?? gone(change))
      const before = followed.map(versions)
      const told: unknown[] = []
      for (const view of followed) view.subscribe((change) => told.push(change))
      const { differences, seen } = views.rehearse(changes, back, () => followed.map(versions))
      assert.deepEqual(told, [])
      assert.equal(views.revision, revision)
      assert.deepEqual(followed.map(versions), before)
      views.apply(changes, revision + changes.length)
      const after = followed.map(versions)
      assert.deepEqual(seen, after)
      for (const [index, node] of nodes.entries()) {
        const names = new Set([...Object.keys(before[index] ?? {}), ...Object.keys(after[index] ?? {})])
        const expected = [...names].filter((name) => before[index]?.[name] !== after[index]?.[name]).sort()
        assert.deepEqual(differences.filter((one) => one.node === node && one.type !== SECRET).map((one) => `${one.type} ${one.name}`).sort(), expected)
      }
    }),
    { numRuns: 100 },
  )
})

const placeOf = (change: Change): string => (change.of === 'resource' ? `${change.key.kind}/${change.key.namespace}/${change.key.name}` : change.of === 'workload' ? `${change.namespace}/${change.name}` : '')
const gone = (change: Change): Change => (change.of === 'resource' ? { ...change, stored: undefined } : change.of === 'workload' ? { ...change, workload: undefined } : change)

test('an unrelated object changes no bytes and tells nobody', () => {
  const views = begin()
  const before = [changeOf([0, 0], 1), changeOf([2, 0], 2), changeOf([5, 0], 3), changeOf([objects.length, 0], 4)]
  views.apply(before, 4)
  const view = views.viewFor(nodes[1] ?? nodeFrom({ name: 'x', namespace: 'x' }), undefined)
  const held = versions(view)
  const told: string[] = []
  view.subscribe((change) => told.push(...change.changed.map((one) => one.name), ...change.removed.map((one) => one.name)))
  views.apply([putChange(storedFrom(object(security, 'AuthorizationPolicy', 'elsewhere', 'x', { spec: {} }), 5)), putChange(storedFrom(object(networking, 'DestinationRule', 'elsewhere', 'x', { spec: { host: 'a', trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } } }), 6))], 6)
  assert.deepEqual(told, [])
  assert.deepEqual(versions(view), held)
  assert.equal(view.revision, 6)
})

for (const [what, change] of [
  ['a weight', (n: number) => putChange(storedFrom(object(networking, 'VirtualService', 'prod', 's7', { spec: { hosts: ['s7'], http: [{ route: [{ ...to('s7', 'v1'), weight: n }, { ...to('s7', 'v2'), weight: 100 - n }] }] } }), n))],
  ['an endpoint', (n: number) => workloadChange(workloadFrom({ name: 'w', namespace: 'prod', labels: { app: 's7' }, address: `10.2.0.${n % 250}`, ports: [{ port: 8080 }] }), n)],
  ['a service', (n: number) => putChange(storedFrom(object('v1', 'Service', 'prod', `new-${n}`, { spec: { selector: { app: 'n' }, ports: [{ name: 'http', port: 80 }] } }), n))],
] as const) {
  test(`the change of ${what} costs the same among 100 services and among 5000`, () => {
    const cost = (services: number) => {
      const model = new MeshModel({ trustDomain: 'cluster.local' })
      const views = new MeshViews(model)
      const changes = Array.from({ length: services }, (_, index) => putChange(storedFrom(object('v1', 'Service', 'prod', `s${index}`, { spec: { selector: { app: `s${index}` }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] } }), index + 1)))
      views.apply([...changes, change(1)], services)
      for (const name of ['one', 'two', 'three']) views.viewFor(nodeFrom({ name, namespace: 'prod', outbound: '127.0.0.1:15001', labels: { app: name } }), undefined)
      const start = { visits: model.visits, computed: views.computed }
      const undone: Change = change(2)
      const back: Change[] = what === 'a service' && undone.of === 'resource' ? [{ ...undone, stored: undefined }] : [change(1)]
      views.rehearse([undone], back, () => undefined)
      const before = { visits: model.visits, computed: views.computed }
      views.apply([change(2)], services + 1)
      return { visits: model.visits - before.visits, computed: views.computed - before.computed, rehearsed: { visits: before.visits - start.visits, computed: before.computed - start.computed } }
    }
    const small = cost(100)
    assert.deepEqual(cost(5000), small)
    // Clusters, endpoints, routes and scopes, as the service's own namespace sees them and as the others do.
    assert.ok(small.computed <= 8, `${small.computed} units were computed`)
    assert.ok(small.rehearsed.computed <= 16, `${small.rehearsed.computed} units were computed to rehearse it`)
  })
}

test('proxies with equal scopes share bytes, and the last to go takes the layers with it', () => {
  const views = begin()
  views.apply([changeOf([0, 0], 1)], 1)
  const [first, second] = ['one', 'two'].map((name) => views.viewFor(nodeFrom({ name, namespace: 'prod', outbound: '127.0.0.1:15001' }), undefined))
  assert.ok(first && second)
  for (const [file, resources] of Object.entries(listed(first))) for (const [index, one] of resources.entries()) assert.equal(one.bytes, listed(second)[file]?.[index]?.bytes)
  first.release()
  assert.ok(views.size().layers > 0)
  second.release()
  assert.deepEqual(views.size(), { layers: 0, units: 0 })
})

test('a secret is had by name from the gateway that its Gateway names, listed nowhere, and by no one else', () => {
  const views = begin()
  views.apply([changeOf([11, 1], 1), changeOf([12, 0], 2)], 2)
  const [sidecar, , gateway] = nodes.map((node) => views.viewFor(node, undefined))
  assert.equal(gateway?.get(SECRET, 'kubernetes://cert')?.origins[0], 'Secret/edge/cert')
  assert.equal(sidecar?.get(SECRET, 'kubernetes://cert'), undefined)
  assert.deepEqual([...(gateway?.list(SECRET) ?? [])], [])
  const text = new TextDecoder('latin1')
  for (const type of typeUrls) for (const one of gateway?.list(type) ?? []) assert.ok(!text.decode(one.bytes).includes('canary'))
})

test('an object that cannot be translated is a fault of its own unit, and the others flow', () => {
  const views = begin()
  const broken = object(networking, 'VirtualService', 'prod', 'broken', { spec: { hosts: ['b'], http: [{ timeout: 'never', route: [to('b')] }] } })
  views.apply([changeOf([0, 0], 1), changeOf([1, 0], 2), putChange(storedFrom(object('v1', 'Service', 'prod', 'b', { spec: { ports: [{ name: 'http', port: 80 }] } }), 3)), putChange(storedFrom(broken, 4))], 4)
  const view = views.viewFor(nodes[1] ?? nodeFrom({ name: 'x', namespace: 'x' }), undefined)
  assert.equal(views.faults().length, 1)
  assert.match(views.faults()[0]?.faults[0]?.rule ?? '', /never is not a duration/)
  assert.deepEqual(listed(view)['routes']?.map((one) => one.name), ['connect|9000||c.prod.svc.cluster.local', 'connect|proxy', 'fallback|proxy', 'outbound|80||a.prod.svc.cluster.local', 'outbound|80||c.prod.svc.cluster.local'])
})
