import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MeshModel } from '#api/model/mesh-model.ts'
import type { ResourceView } from '#api/serve/resource.ts'
import { seededRandom } from '#core/time/seeded.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import type { Change } from '#db/store.ts'
import { deleteChange, nodeFrom, putChange, storedFrom } from './testing/mesh-case.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, LISTENER, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION } from '#core/wire/type-url.ts'
import { MeshViews } from './view.ts'

const types = [CLUSTER, CLUSTER_LOAD_ASSIGNMENT, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION]
const node = nodeFrom({ name: 'client', namespace: 'ns-1', outbound: '127.0.0.1:15001' })

function objectsOf(index: number, weight: number): ResourceObject[] {
  const host = `svc-${index}.ns-${index % 3}.example`
  const metadata = { name: `svc-${index}`, namespace: `ns-${index % 3}` }
  const route = [{ destination: { host, subset: 'v1' }, weight }, { destination: { host }, weight: 100 - weight }]
  return [
    { apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata, spec: { hosts: [host], location: 'MESH_INTERNAL', resolution: 'STATIC', ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], endpoints: [{ address: `10.0.0.${(index + weight) % 250}` }] } },
    { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata, spec: { hosts: [host], http: [{ route }] } },
    { apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata, spec: { host, subsets: [{ name: 'v1', labels: { version: 'v1' } }] } },
  ]
}

const held = (views: MeshViews): Map<string, string> => {
  const view = views.viewFor(node, undefined)
  const all = new Map(types.flatMap((type) => [...view.list(type)].map((one) => [`${type} ${one.name}`, one.version])))
  view.release()
  return all
}

test('a view that is made in turns is what it would be at once, whatever changes and whoever comes and goes between the turns', async () => {
  for (let seed = 1; seed <= 30; seed += 1) {
    const random = seededRandom(seed)
    const below = (limit: number): number => Math.floor(random.draw() * limit)
    let revision = 0
    const put = (object: ResourceObject): Change => putChange(storedFrom(object, (revision += 1)), revision)
    const model = new MeshModel({ trustDomain: 'cluster.local' })
    const views = new MeshViews(model)
    views.apply(Array.from({ length: 20 }, (_, index) => objectsOf(index, 90)).flat().map(put), revision)
    const edit = (): void => {
      const objects = objectsOf(below(25), below(100))
      const changed = objects[below(objects.length)]
      if (changed === undefined) return
      const change = put(changed)
      views.apply([below(4) === 0 ? deleteChange(storedFrom(changed, revision), revision) : change], revision)
    }
    let turns = 0
    const cut = {
      isOver: () => below(2) === 0,
      next: async () => {
        turns += 1
        await Promise.resolve()
        if (below(3) === 0) edit()
        if (below(10) === 0) views.viewFor(node, undefined).release()
      },
    }
    const [view, another] = await Promise.all([views.viewInTurns(node, undefined, cut), views.viewInTurns(node, undefined, cut)])
    assert.ok(turns > 10)
    for (let round = 0; round < 5; round += 1) edit()
    const fresh = new MeshViews(new MeshModel({ trustDomain: 'cluster.local' }))
    fresh.apply([...model.objects()].map((stored) => putChange(stored, stored.revision)), revision)
    const expected = held(fresh)
    for (const made of [view, another]) assert.deepEqual(new Map(types.flatMap((type) => [...made.list(type)].map((one) => [`${type} ${one.name}`, one.version]))), expected, `seed ${seed}`)
    view.release()
    another.release()
    assert.deepEqual(views.size(), { layers: 0, units: 0 }, `seed ${seed}: nothing is left`)
  }
})

test('a change is told in steps: until a view has heard of it, it says that it is where it was, and who leaves or gives up meanwhile takes nothing from the others', () => {
  let revision = 0
  const put = (object: ResourceObject): Change => putChange(storedFrom(object, (revision += 1)), revision)
  const views = new MeshViews(new MeshModel({ trustDomain: 'cluster.local' }), 1)
  views.apply(objectsOf(1, 90).map(put), revision)
  const told: string[] = []
  const all = ['a', 'b', 'c', 'd'].map((name) => {
    const view = views.viewFor({ ...node, name }, undefined)
    view.subscribe((change) => told.push(`${name} ${change.revision}`))
    return view
  })
  const at = (): number[] => all.map((view) => view.revision)
  const steps = views.applying(objectsOf(1, 80).slice(1, 2).map(put), revision)
  steps.next()
  assert.deepEqual([told, at(), views.isTold], [['a 4'], [4, 3, 3, 3], false])
  all[1]?.release()
  steps.next()
  assert.deepEqual([told, at()], [['a 4', 'c 4'], [4, 4, 4, 3]])
  // Another change comes, and nobody goes on with this one.
  views.apply([put({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'unrelated', namespace: 'ns-1' } })], revision)
  assert.deepEqual([told, at(), views.isTold], [['a 4', 'c 4', 'd 5'], [5, 5, 5, 5], true])
})

test('what only few proxies have is made before they are told, whoever comes, goes, gives up or rehearses between the steps', () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = seededRandom(seed)
    const below = (limit: number): number => Math.floor(random.draw() * limit)
    let revision = 0
    const put = (object: ResourceObject): Change => putChange(storedFrom(object, (revision += 1)), revision)
    const policy = (): ResourceObject => ({
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: `policy-${below(2)}`, namespace: ['istio-system', 'ns-1', 'ns-2'][below(3)] ?? '' },
      spec: { action: 'DENY', rules: [{ to: [{ operation: { paths: [`/${below(4)}`] } }] }] },
    })
    const edit = (): Change => {
      const changed = below(3) === 0 ? (objectsOf(below(3), below(100))[below(3)] ?? policy()) : policy()
      return below(4) === 0 ? deleteChange(storedFrom(changed, revision), (revision += 1)) : put(changed)
    }
    const model = new MeshModel({ trustDomain: 'cluster.local' })
    const views = new MeshViews(model, 1)
    views.apply([0, 1, 2].flatMap((index) => objectsOf(index, 90)).map(put), revision)
    // Six proxies of three workloads.
    const nodeOf = (at: number) => nodeFrom({ name: `proxy-${at}`, namespace: `ns-${1 + (at % 2)}`, labels: { app: `app-${at % 3}` }, outbound: '127.0.0.1:15001', ports: [{ port: 8080, name: 'http' }] })
    const all = (view: ResourceView): Map<string, string> => new Map([...types, LISTENER].flatMap((type) => [...view.list(type)].map((one) => [`${type} ${one.name}`, one.version] as const)))
    const come = (at: number) => {
      const view = views.viewFor(nodeOf(at), undefined)
      const follows = all(view)
      let heard = view.revision
      view.subscribe((change) => {
        heard = change.revision
        for (const one of change.changed) follows.set(`${one.type} ${one.name}`, one.version)
        for (const one of change.removed) follows.delete(`${one.type} ${one.name}`)
      })
      return { at, view, follows, heard: () => heard }
    }
    const here = Array.from({ length: 6 }, (_, at) => come(at))
    for (let round = 0; round < 8; round += 1) {
      const change = edit()
      for (const steps = views.applying([change], revision); steps.next().done !== true; ) {
        // Whoever has heard has what it was told, and no more.
        for (const one of here) if (one.heard() === revision) assert.deepEqual(all(one.view), one.follows, `seed ${seed}`)
        const what = below(12)
        if (what === 0) {
          const [gone] = here.splice(below(here.length), 1)
          gone?.view.release()
          if (gone) here.push(come(gone.at))
        } else if (what === 1) {
          const before = [...model.objects()].map((stored) => putChange(stored, stored.revision))
          const rehearsed = putChange(storedFrom({ ...policy(), metadata: { name: 'rehearsed', namespace: 'istio-system' } }, revision), revision)
          views.rehearse([rehearsed], [deleteChange(storedFrom({ ...policy(), metadata: { name: 'rehearsed', namespace: 'istio-system' } }, revision), revision), ...before], () => undefined)
        } else if (what === 2) views.faults()
        else if (what === 3) break
      }
    }
    views.apply([edit()], revision)
    assert.ok(views.isTold)
    const fresh = new MeshViews(new MeshModel({ trustDomain: 'cluster.local' }))
    fresh.apply([...model.objects()].map((stored) => putChange(stored, stored.revision)), revision)
    for (const { at, view, follows } of here) {
      const expected = all(fresh.viewFor(nodeOf(at), undefined))
      assert.deepEqual(new Map([...all(view)].sort()), new Map([...expected].sort()), `seed ${seed}`)
      assert.deepEqual(new Map([...follows].sort()), new Map([...expected].sort()), `seed ${seed}`)
      view.release()
    }
    assert.deepEqual(views.size(), { layers: 0, units: 0 }, `seed ${seed}: nothing is left`)
  }
})
