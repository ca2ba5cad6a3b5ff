import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { MODULES, moduleState } from '#api/model/modules.ts'
import type { ModuleState } from '#api/model/modules.ts'
import { wasmModule } from '#cli/engines/wasm-module.ts'
import type { ConfigMapFields } from '#core/resource/config-map.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { systemDoors } from '#core/time/system.ts'
import type { Mesh } from '#db/store.ts'
import { pushModule, startRegistry } from '#test/parts/registry.ts'
import { startStore } from '#test/parts/store.ts'
import { until } from '#test/mesh/shop.ts'
import { jsonLog } from '../log.ts'
import { Meshes } from '../meshes.ts'
import { HeldModules } from './held-modules.ts'
import { ModuleProblem } from './problem.ts'
import { ModuleWorker } from './worker.ts'

const module = Buffer.from(wasmModule)
const sha256 = createHash('sha256').update(module).digest('hex')
const quiet = jsonLog(() => {}, () => 0, 'error')
const within = 240_000

/** A store with a mesh, as two replicas would have it. */
async function world(t: TestContext) {
  const { store, end } = await startStore()
  t.after(end)
  const organization = await store.createOrganization('demo')
  const meshes = new Meshes(store, systemDoors.clock, quiet)
  t.after(() => meshes.close())
  const mesh = async (name: string): Promise<Mesh> => {
    const made = await store.createMesh(organization.id, { name, trustDomain: 'cluster.local', sealedRoot: new Uint8Array(1), rootCertificate: '' })
    await meshes.get(made.id)
    return made
  }
  const put = async (of: Mesh, name: string, spec: object | null): Promise<void> => {
    const object = spec === null ? null : ({ apiVersion: 'extensions.istio.io/v1alpha1', kind: 'WasmPlugin', metadata: { name, namespace: 'prod' }, spec } as unknown as ResourceObject)
    const { revision } = await store.applyResources(organization.id, of.id, [{ key: { group: 'extensions.istio.io', kind: 'WasmPlugin', namespace: 'prod', name }, object }], { author: 'somebody', message: '' })
    await meshes.reached(of.id, revision, within)
  }
  return {
    store, mesh, put,
    worker(privateNetworks = true) {
      const worker = new ModuleWorker({ store, clock: systemDoors.clock, random: systemDoors.random, log: quiet, meshes: () => meshes.all(), mesh: (meshId) => meshes.get(meshId), privateNetworks })
      t.after(() => worker.close())
      return worker
    },
    async state(of: Mesh, name: string): Promise<ModuleState | undefined> {
      const model = (await meshes.get(of.id))?.model
      return moduleState(model?.object(`ConfigMap/prod/${MODULES}`)?.object as ConfigMapFields | undefined, `plugin.${name}`, model?.object(`WasmPlugin/prod/${name}`)?.uid ?? '')
    },
  }
}

test('of two replicas one writes what both find, and one that has just begun has the bytes again by their digest', async (t) => {
  const registry = await startRegistry(t)
  await pushModule(registry, 'a/b', '1', module, 'docker')
  const { store, mesh, put, worker, state } = await world(t)
  const [one, other] = [await mesh('one'), await mesh('other')]
  await put(one, 'sign-in', { url: `${registry.host}/a/b:1` })
  const replicas = [worker(), worker()]
  for (const replica of replicas) replica.look()
  await until('the module is known', async () => (await state(one, 'sign-in'))?.sha256 === sha256)
  // Both have looked again, and left it.
  for (const replica of replicas) assert.ok((await replica.bytesOf(one.id, 'prod', 'plugin.sign-in', sha256))?.equals(module))
  for (const replica of replicas) await replica.close()
  const history = await store.history(one.organizationId, one.id, { key: { group: '', kind: 'ConfigMap', namespace: 'prod', name: MODULES } }, { limit: 10 })
  assert.equal(history.items.length, 1)

  registry.asked.length = 0
  const begun = worker()
  const [first, second] = await Promise.all([begun.bytesOf(one.id, 'prod', 'plugin.sign-in', sha256), begun.bytesOf(one.id, 'prod', 'plugin.sign-in', sha256)])
  assert.ok(first?.equals(module) === true && second?.equals(module) === true)
  assert.equal(registry.asked.length, 1, 'once, for whoever asks meanwhile')
  assert.match(registry.asked[0] ?? '', /blobs/)
  // Whoever knows a digest has not pulled the module: another mesh is not given it, though it is at hand.
  assert.equal(await begun.bytesOf(other.id, 'prod', 'plugin.sign-in', sha256), undefined)
  const late = worker()
  registry.entry = 'nobody'
  await assert.rejects(late.bytesOf(one.id, 'prod', 'plugin.sign-in', sha256), ModuleProblem)
})

test('what was had goes on while the same cannot be pulled anew, and nothing of it while something else cannot be had', async (t) => {
  const registry = await startRegistry(t)
  await pushModule(registry, 'a/b', 'latest', module)
  const { mesh, put, worker, state } = await world(t)
  const one = await mesh('one')
  const replica = worker()
  await put(one, 'sign-in', { url: `${registry.host}/a/b` })
  replica.look()
  await until('the module is known', async () => (await state(one, 'sign-in'))?.sha256 === sha256)
  registry.entry = 'broken'
  await put(one, 'sign-in', { url: `${registry.host}/a/b`, priority: 1 })
  replica.look()
  await until('it is said', async () => (await state(one, 'sign-in'))?.error !== undefined)
  assert.equal((await state(one, 'sign-in'))?.sha256, sha256)
  await put(one, 'sign-in', { url: `${registry.host}/a/c` })
  replica.look()
  await until('it is another', async () => (await state(one, 'sign-in'))?.sha256 === undefined)
  // One that is made anew under the name has nothing of the one before.
  registry.entry = 'open'
  await put(one, 'sign-in', { url: `${registry.host}/a/b` })
  replica.look()
  await until('it is there again', async () => (await state(one, 'sign-in'))?.error === undefined && (await state(one, 'sign-in'))?.sha256 === sha256)
  registry.entry = 'broken'
  await put(one, 'sign-in', null)
  await put(one, 'sign-in', { url: `${registry.host}/a/b:2` })
  assert.equal((await state(one, 'sign-in'))?.sha256, undefined)
})

test('a control plane that may not ask private networks asks none for a module, and says so', async (t) => {
  const registry = await startRegistry(t)
  const { mesh, put, worker, state } = await world(t)
  const one = await mesh('one')
  await put(one, 'inside', { url: `oci://${registry.host}/a/b:1` })
  await put(one, 'metadata', { url: 'https://169.254.169.254/latest/' })
  const replica = worker(false)
  const error = async (name: string): Promise<string> => (await state(one, name))?.error ?? ''
  replica.look()
  await until('both are refused', async () => (await error('inside')) !== '' && (await error('metadata')) !== '')
  assert.match(await error('inside'), /HTTPS only/)
  assert.match(await error('metadata'), /not public/)
  assert.deepEqual(registry.asked, [])
})

test('modules at hand are bounded, in all and of each mesh, and those that were not asked for longest go', () => {
  const held = new HeldModules(100, 50)
  const bytes = (length: number): Buffer => Buffer.alloc(length)
  held.put('one', 'a', bytes(20))
  held.put('one', 'b', bytes(20))
  held.put('other', 'c', bytes(40))
  assert.ok(held.get('one', 'a'))
  held.put('one', 'd', bytes(20))
  // Of its own mesh, though another's is older.
  assert.deepEqual(['a', 'b', 'd'].map((one) => held.get('one', one) !== undefined), [true, false, true])
  assert.ok(held.get('other', 'c'))
  held.put('third', 'e', bytes(40))
  assert.equal(held.get('one', 'a'), undefined)
  assert.ok(held.get('one', 'd') && held.get('other', 'c') && held.get('third', 'e'))
  held.put('third', 'f', bytes(400))
  assert.equal(held.get('third', 'f')?.length, 400)
  assert.equal(held.get('one', 'f'), undefined)
})
