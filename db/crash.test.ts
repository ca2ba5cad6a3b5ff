import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { systemDoors } from '#core/time/system.ts'
import { startPostgres } from '#test/parts/postgres.ts'
import { openStore } from './open.ts'
import { StoreUnavailable } from './store.ts'
import type { Store } from './store.ts'

const sealKey = Buffer.alloc(32, 9)
const options = { doors: systemDoors, sealKey }
const folderFor = (): Promise<string> => mkdtemp(join(tmpdir(), 'weft-crash-'))

/** A process that writes to the store until it is killed (test/parts/store-writer.ts). */
function startWriter(url: string): { child: ChildProcess; acknowledged: number[]; reached(batch: number): Promise<void>; ended: Promise<void> } {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.resolve('#test/parts/store-writer.ts')), url, sealKey.toString('hex')], { stdio: ['ignore', 'pipe', 'inherit'] })
  const acknowledged: number[] = []
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const waiting: { batch: number; resolve: () => void }[] = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    acknowledged.push(Number(line))
    for (const one of waiting) if (Number(line) >= one.batch) one.resolve()
  })
  return { child, acknowledged, ended, reached: (batch) => Promise.race([new Promise<void>((resolve) => waiting.push({ batch, resolve })), ended]) }
}

/** Every acknowledged batch is there, every batch is whole, and the log and the history agree with the rows. */
async function assertWhole(store: Store, acknowledged: readonly number[]): Promise<void> {
  const organization = await store.organizationByName('writer')
  const mesh = await store.meshByName(organization?.id ?? '', 'mesh')
  assert.ok(organization && mesh)
  const loaded = await store.loadMesh(mesh.id)
  const parts = new Map<number, number>()
  for (const { key } of loaded?.resources ?? []) {
    const batch = Number(key.name.split('-')[1])
    parts.set(batch, (parts.get(batch) ?? 0) + 1)
  }
  for (const batch of acknowledged) assert.equal(parts.get(batch), 3, `acknowledged batch ${batch}`)
  for (const [batch, count] of parts) assert.equal(count, 3, `batch ${batch}`)
  assert.equal(loaded?.revision, parts.size)
  const { changes } = await store.changesAfter(mesh.id, 0, 100_000)
  assert.equal(changes.length, parts.size * 3)
  const history = await store.history(organization.id, mesh.id, {}, { limit: 1 })
  assert.equal(history.items[0]?.revision, loaded?.revision)
}

describe('PGlite on a folder', () => {
  test('what was acknowledged survives kill -9 of its process, and the next process takes over', async () => {
    const folder = await folderFor()
    try {
      const acknowledged: number[] = []
      for (const [round, batches] of [15, 40].entries()) {
        const writer = startWriter(`pglite:${folder}`)
        await writer.reached(batches)
        writer.child.kill('SIGKILL')
        await writer.ended
        assert.ok(writer.acknowledged.length >= batches, `round ${round}`)
        acknowledged.push(...writer.acknowledged)
        const store = await openStore(`pglite:${folder}`, options)
        try {
          await assertWhole(store, acknowledged)
        } finally {
          await store.close()
        }
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  test('a second opener is refused and told who has it, and gets it once it is closed', async () => {
    const folder = await folderFor()
    const writer = startWriter(`pglite:${folder}`)
    try {
      await writer.reached(1)
      await assert.rejects(openStore(`pglite:${folder}`, options), { message: `${folder} is open already, in process ${writer.child.pid}: a folder serves one process at a time` })
      writer.child.kill('SIGKILL')
      await writer.ended
      const store = await openStore(`pglite:${folder}`, options)
      await assert.rejects(openStore(`pglite:${folder}`, options), /open already, in process/)
      await store.close()
      const again = await openStore(`pglite:${folder}`, options)
      assert.equal((await again.listOrganizations()).length, 1)
      await again.close()
      assert.deepEqual(await readdir(folder), ['data'], 'nothing of the lock stays behind')
    } finally {
      writer.child.kill('SIGKILL')
      await writer.ended
      await rm(folder, { recursive: true, force: true })
    }
  })

  test('a lock whose process number serves another process by now is taken over, and a folder is its owner\'s alone', async () => {
    const folder = await folderFor()
    try {
      await chmod(folder, 0o755)
      await writeFile(join(folder, 'lock'), JSON.stringify({ pid: process.pid, started: 'an earlier boot/1' }))
      const store = await openStore(`pglite:${folder}`, options)
      assert.equal((await stat(folder)).mode & 0o777, 0o700)
      await store.close()
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  test('a Secret is not readable with another key, and the error says so', async () => {
    const folder = await folderFor()
    try {
      const store = await openStore(`pglite:${folder}`, options)
      const organization = await store.createOrganization('o')
      const mesh = await store.createMesh(organization.id, { name: 'm', trustDomain: 'cluster.local', sealedRoot: new Uint8Array([1]), rootCertificate: 'none' })
      const key = { group: '', kind: 'Secret', namespace: 'n', name: 's' }
      const object = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'n' }, data: { a: 'Yg==' } }
      await store.applyResources(organization.id, mesh.id, [{ key, object }], { author: 'a', message: '' })
      await store.close()
      const other = await openStore(`pglite:${folder}`, { doors: systemDoors, sealKey: Buffer.alloc(32, 1) })
      await assert.rejects(other.getResource(organization.id, mesh.id, key), /sealed with key [0-9a-f]{8}, and this process was given key [0-9a-f]{8}/)
      await other.close()
      const right = await openStore(`pglite:${folder}`, options)
      assert.deepEqual((await right.getResource(organization.id, mesh.id, key))?.object, object)
      await right.close()
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

describe('Postgres', () => {
  test('what was acknowledged survives kill -9 of the server; the store comes back by itself and its listeners hear again', async () => {
    const postgres = await startPostgres()
    try {
      const store = await openStore(postgres.url, options)
      const organization = await store.createOrganization('writer')
      const mesh = await store.createMesh(organization.id, { name: 'mesh', trustDomain: 'cluster.local', sealedRoot: new Uint8Array([1]), rootCertificate: 'none' })
      store.onChange(() => {}) // listens, so that the server's end cuts that connection too
      const acknowledged: number[] = []
      let next = 0
      const writeOne = async (): Promise<void> => {
        const batch = ++next
        const writes = ['a', 'b', 'c'].map((part) => {
          const name = `batch-${batch}-${part}`
          return { key: { group: '', kind: 'ConfigMap', namespace: 'n', name }, object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'n' } } }
        })
        await store.applyResources(organization.id, mesh.id, writes, { author: 'a', message: '' })
        acknowledged.push(batch)
      }
      const failures: unknown[] = []
      const writers = Array.from({ length: 6 }, async () => {
        for (;;) {
          try {
            await writeOne()
          } catch (error) {
            failures.push(error)
            return
          }
        }
      })
      while (acknowledged.length < 60) await pause(1)
      await postgres.kill9()
      await Promise.all(writers)
      assert.equal(failures.length, 6)
      for (const failure of failures) assert.ok(failure instanceof StoreUnavailable, String(failure))
      await assert.rejects(store.ping(), StoreUnavailable)
      await postgres.restart()
      await store.ping()
      await assertWhole(store, acknowledged)
      const before = (await store.meshById(mesh.id))?.revision ?? 0
      const heard = new Promise<void>((resolve) => store.onChange((_meshId, revision) => revision === before + 1 && resolve()))
      await writeOne()
      await heard
      await assertWhole(store, acknowledged)
      await store.close()
    } finally {
      await postgres.stop()
    }
  })

  test('many starters on an empty database make one schema, and two databases share the server\'s roles', async () => {
    const postgres = await startPostgres()
    try {
      const urls = await Promise.all([postgres.createDatabase('first'), postgres.createDatabase('second')])
      const stores = await Promise.all([...urls, ...urls, ...urls].map((url) => openStore(url, options)))
      const organization = await stores[0]?.createOrganization('o')
      assert.deepEqual(await stores[2]?.listOrganizations(), [organization])
      assert.deepEqual(await stores[1]?.listOrganizations(), [])
      for (const store of stores) await store.close()
    } finally {
      await postgres.stop()
    }
  })

  test('a listener of one replica hears what another replica writes', async () => {
    const postgres = await startPostgres()
    try {
      const [writer, follower] = await Promise.all([openStore(postgres.url, options), openStore(postgres.url, options)])
      const organization = await writer.createOrganization('o')
      const mesh = await writer.createMesh(organization.id, { name: 'm', trustDomain: 'cluster.local', sealedRoot: new Uint8Array([1]), rootCertificate: 'none' })
      const heard = new Promise<number>((resolve) => follower.onChange((meshId, revision) => meshId === mesh.id && revision === 1 && resolve(revision)))
      await writer.setMeshSettings(organization.id, mesh.id, { strict: true })
      assert.equal(await heard, 1)
      await Promise.all([writer.close(), follower.close()])
    } finally {
      await postgres.stop()
    }
  })

  test('a server without connections to spare is unavailable, and not broken', async () => {
    const postgres = await startPostgres()
    try {
      const store = await openStore(postgres.url, options)
      await store.close()
      await postgres.sql('create role few login connection limit 0')
      await assert.rejects(openStore(postgres.url.replace('postgres@', 'few@'), options), (error) => error instanceof StoreUnavailable && /too many connections/.test(String(error.cause)))
    } finally {
      await postgres.stop()
    }
    await assert.rejects(openStore(postgres.url, options), StoreUnavailable)
  })

  test('an owner that is no superuser is held to the policies all the same', async () => {
    const postgres = await startPostgres()
    try {
      const url = await postgres.createDatabase('hosted')
      await postgres.sql('create role plain login createrole; alter database hosted owner to plain')
      const store = await openStore(url.replace('postgres@', 'plain@'), options)
      const [first, second] = [await store.createOrganization('first'), await store.createOrganization('second')]
      const mesh = await store.createMesh(first.id, { name: 'm', trustDomain: 'cluster.local', sealedRoot: new Uint8Array([1]), rootCertificate: 'none' })
      await store.setMeshSettings(first.id, mesh.id, { strict: true })
      assert.equal(await store.meshByName(second.id, 'm'), undefined)
      assert.equal((await store.meshById(mesh.id))?.revision, 1)
      await store.close()
    } finally {
      await postgres.stop()
    }
  })
})
