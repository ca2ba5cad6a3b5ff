import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { kinds } from '#core/resource/registry.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { parseObject } from '#core/resource/parse.ts'
import { ENVOY_VERSIONS, installEnvoy } from '#infra/parts/envoy.ts'
import { EDGES, withLeaf } from './testing/edge-values.ts'
import { validationBootstrap } from './testing/envoy-bootstrap.ts'
import { brokenInView } from './testing/envoy-rules.ts'
import { fieldVariants } from './testing/field-variants.ts'
import { meshOf, nodeFrom, objectsIn, versions, workloadFrom } from './testing/mesh-case.ts'
import type { ProxyWords } from './testing/mesh-case.ts'

const folder = mkdtempSync(join(tmpdir(), 'weft-any-mesh-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** Envoy reads a script when it takes it in, and refuses one that is no Lua: whatever was drawn stands in a comment. */
const readable = (one: ResourceObject): ResourceObject => {
  const { lua } = (one.spec ?? {}) as { readonly lua?: { readonly inlineCode: string } }
  return lua === undefined || lua.inlineCode.startsWith('--[==[') ? one : { ...one, spec: { ...(one.spec as object), lua: { inlineCode: `--[==[\n${lua.inlineCode}\n]==]` } } }
}

/** Every kind's example with one field more, each time another, as far as that is valid: what the registry's schemas can say. */
const valid: readonly ResourceObject[] = kinds
  .filter((kind) => kind.group !== '' && kind.kind !== 'EnvoyFilter')
  .flatMap((kind) => [...fieldVariants(kind, kind.example)])
  .flatMap((one) => {
    const { object, faults } = parseObject(one, { defaultNamespace: 'prod' })
    return object === undefined || faults.some((fault) => fault.severity === 'error') ? [] : [readable(object)]
  })

/** One of them with a value at its edge somewhere, if it is valid still. */
const edged = fc.tuple(fc.constantFrom(...valid), fc.nat(), fc.constantFrom(...EDGES)).map(([whole, nth, edge]): ResourceObject => {
  const { object, faults } = parseObject({ ...whole, spec: withLeaf(whole.spec, nth, edge) }, { defaultNamespace: 'prod' })
  return object === undefined || faults.some((fault) => fault.severity === 'error') ? whole : readable(object)
})

const around = objectsIn(`
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: prod }
spec: { selector: { app: orders }, clusterIP: 10.0.0.1, ports: [{ name: http, port: 8080 }, { name: tcp, port: 9000 }] }
---
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: default }
spec: { selector: { app: reviews }, clusterIP: 10.0.0.2, ports: [{ name: http, port: 9080 }] }
`)
const PROXIES: readonly ProxyWords[] = [
  { type: 'sidecar', name: 'orders-1', namespace: 'prod', labels: { app: 'orders' }, address: '10.0.1.1', ports: [{ port: 8080, name: 'http' }] },
  { type: 'sidecar', name: 'reviews-1', namespace: 'default', labels: { app: 'reviews' }, address: '10.0.1.2', outbound: '10.0.1.2:15001', ports: [{ port: 9080, name: 'http' }] },
  { type: 'router', name: 'edge-1', namespace: 'default', labels: { istio: 'ingressgateway', app: 'edge' }, address: '10.0.1.3' },
]

/** A few valid objects of any kinds, each under a name of its own; a mesh has one MeshConfig. */
const meshes = fc
  .uniqueArray(fc.oneof(fc.constantFrom(...valid), edged), { minLength: 3, maxLength: 12, selector: (one) => (one.kind === 'MeshConfig' ? one.kind : JSON.stringify(one)) })
  .map((picked) => picked.map((one, at): ResourceObject => ({ ...one, metadata: { ...one.metadata, name: one.kind === 'MeshConfig' ? 'default' : `any-${at}` } })))

const viewsOf = (objects: readonly ResourceObject[]) => meshOf([...around, ...objects], PROXIES.map((one) => workloadFrom({ ...one, address: one.address ?? '' }))).views

test('any valid objects are translated, to messages that keep the rules of Envoy’s API', () => {
  fc.assert(
    fc.property(meshes, (objects) => {
      const views = viewsOf(objects)
      for (const proxy of PROXIES) for (const engine of ['weft', 'envoy'] as const) assert.deepEqual(brokenInView(views.viewFor({ ...nodeFrom(proxy), engine }, undefined)), [])
      // Modules are asked for once their objects are taken.
      assert.deepEqual(views.faults().flatMap((one) => one.faults.filter(({ code }) => code !== 'wasm.module').map((fault) => `${one.unit}: ${fault.rule ?? ''}`)), [])
    }),
    { numRuns: 150 },
  )
})

test('every scope leads to routes that are there', () => {
  const some = objectsIn(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: elsewhere, namespace: default }
spec: { hosts: [reviews], http: [{ match: [{ gateways: [edge] }], route: [{ destination: { host: reviews } }] }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: labelled, namespace: default }
spec: { hosts: [orders.prod.svc.cluster.local], http: [{ match: [{ sourceLabels: { app: nobody } }], route: [{ destination: { host: reviews } }] }] }
`)
  const lead = (objects: readonly ResourceObject[]): void => {
    const views = viewsOf(objects)
    for (const proxy of PROXIES) validationBootstrap(views.viewFor(nodeFrom(proxy), undefined))
  }
  lead(some)
  fc.assert(fc.property(meshes, lead), { numRuns: 60 })
})

test('the order in which objects of one age come changes nothing', () => {
  const aged = (objects: readonly ResourceObject[]): ResourceObject[] => objects.map((one, index) => ({ ...one, metadata: { ...one.metadata, creationTimestamp: new Date(1_700_000_000_000 + index * 1000).toISOString() } }))
  fc.assert(
    fc.property(meshes, (objects) => {
      const first = aged(objects)
      const [there, back] = [viewsOf(first), viewsOf(first.toReversed())]
      for (const proxy of PROXIES) assert.deepEqual(versions(there.viewFor(nodeFrom(proxy), undefined)), versions(back.viewFor(nodeFrom(proxy), undefined)))
    }),
    { numRuns: 60 },
  )
})

/** What another team has for itself alone: its services are not shown, its rules and policies are for its own workloads. */
const unrelated = objectsIn(`
apiVersion: v1
kind: Service
metadata: { name: theirs, namespace: elsewhere, annotations: { networking.istio.io/exportTo: "." } }
spec: { selector: { app: theirs }, clusterIP: 10.0.9.9, ports: [{ name: http, port: 8099 }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: theirs, namespace: elsewhere }
spec: { hosts: [theirs], exportTo: ["."], http: [{ route: [{ destination: { host: theirs } }] }] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: theirs, namespace: elsewhere }
spec: { host: theirs, exportTo: ["."], trafficPolicy: { loadBalancer: { simple: RANDOM } } }
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: default, namespace: elsewhere }
spec: { egress: [{ hosts: ["./*"] }] }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: elsewhere }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody, namespace: elsewhere }
spec: {}
`)

test('objects of a namespace that shows nothing to others change no bytes of theirs', () => {
  fc.assert(
    fc.property(meshes, (objects) => {
      const [without, beside] = [viewsOf(objects), viewsOf([...objects, ...unrelated])]
      for (const proxy of PROXIES) assert.deepEqual(versions(beside.viewFor(nodeFrom(proxy), undefined)), versions(without.viewFor(nodeFrom(proxy), undefined)))
    }),
    { numRuns: 60 },
  )
})

/** Files that objects name are the proxy's host's own, and not here. */
const NO_FILE = /unable to (open|read) file|Invalid path|file does not exist/i

/** Bootstraps that a version judges: each takes about a quarter of a second. */
const JUDGED = 45

for (const version of ENVOY_VERSIONS) {
  test(`stock Envoy ${version} takes what any valid objects become`, async () => {
    const envoy = await installEnvoy(version)
    for (const [index, objects] of fc.sample(meshes, JUDGED / PROXIES.length).entries()) {
      const views = viewsOf(objects)
      for (const [at, proxy] of PROXIES.entries()) {
        const file = join(folder, `${version}-${index}-${at}.json`)
        writeFileSync(file, validationBootstrap(views.viewFor({ ...nodeFrom(proxy), engine: 'envoy', version }, undefined)))
        // Where it makes the files that access logs name.
        const said = await promisify(execFile)(envoy, ['--mode', 'validate', '-c', file, '--log-level', 'error'], { cwd: folder }).then(
          () => '',
          (error: { stderr?: string; message: string }) => error.stderr ?? error.message,
        )
        if (!NO_FILE.test(said)) assert.equal(said, '', JSON.stringify(objects.map((one) => ({ kind: one.kind, spec: one.spec }))))
      }
    }
  })
}
