import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MeshModel } from '#api/model/mesh-model.ts'
import { LISTENER } from '#core/wire/type-url.ts'
import { onceFor } from './once.ts'
import { nodeFrom, putChange, storedFrom } from './testing/mesh-case.ts'
import { MeshViews } from './view.ts'

test('equal scopes are made once, and any difference within them, in a map too, makes another', () => {
  let made = 0
  const make = onceFor((_scope: { readonly at: ReadonlyMap<string, { readonly deep: number }>; readonly names: readonly string[] }) => ({ number: (made += 1) }))
  const scope = (deep: number, ...names: string[]) => ({ at: new Map([['a', { deep }]]), names })
  assert.equal(make(scope(1, 'x')), make(scope(1, 'x')))
  assert.notEqual(make(scope(1, 'x')), make(scope(2, 'x')))
  assert.notEqual(make(scope(1, 'x')), make(scope(1, 'x', 'y')))
  assert.equal(made, 3)
})

test('what is asked for again and again is kept, however much else comes and goes', () => {
  let made = 0
  const make = onceFor(({ at }: { readonly at: number }) => ({ at, number: (made += 1) }))
  const first = make({ at: 0 })
  for (let at = 1; at <= 5000; at += 1) {
    make({ at })
    assert.equal(make({ at: 0 }), first)
  }
  assert.equal(made, 5001)
})

for (const captured of [false, true]) {
  test(`workloads that differ in their labels alone take calls by one listener, until a policy tells them apart${captured ? ': where traffic is captured' : ''}`, () => {
    const views = new MeshViews(new MeshModel({ trustDomain: 'cluster.local' }))
    const policy = (revision: number, namespace: string, spec: object): void => void views.apply([putChange(storedFrom({ apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', metadata: { name: `policy-${namespace}`, namespace }, spec }, revision), revision)], revision)
    const node = (name: string) => nodeFrom({ name, namespace: 'shop', labels: { app: name }, ...(captured ? {} : { outbound: '127.0.0.1:15001' }), ports: [{ name: 'http', port: 8080, ...(captured ? { listen: 8080 } : {}) }] })
    const [one, two] = [node('one'), node('two')].map((of) => views.viewFor(of, undefined))
    const inbound = (view: typeof one) => [...(view?.list(LISTENER) ?? [])].find(({ name }) => name.includes('nbound_') || name === 'virtualInbound')
    const deny = (path: string) => ({ action: 'DENY', rules: [{ to: [{ operation: { paths: [path] } }] }] })
    assert.ok(inbound(one))
    assert.equal(inbound(one), inbound(two))
    const before = inbound(one)
    policy(1, 'istio-system', deny('/all'))
    assert.notEqual(inbound(one)?.version, before?.version)
    assert.equal(inbound(one), inbound(two))
    policy(2, 'shop', { ...deny('/one'), selector: { matchLabels: { app: 'one' } } })
    assert.notEqual(inbound(one)?.version, inbound(two)?.version)
  })
}
