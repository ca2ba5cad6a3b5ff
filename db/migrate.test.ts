import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import type { Driver } from './driver.ts'
import { migrate } from './migrate.ts'
import { openPglite } from './pglite/driver.ts'

let driver: Driver
let folder = ''
before(async () => {
  driver = await openPglite(undefined, [])
  folder = await mkdtemp(join(tmpdir(), 'weft-migrations-'))
})
after(async () => {
  await driver.close()
  await rm(folder, { recursive: true, force: true })
})

const give = (name: string, text: string): Promise<void> => writeFile(join(folder, name), text)
const run = (): Promise<void> => migrate(driver, pathToFileURL(`${folder}/`))
const applied = (): Promise<unknown[]> => driver.transaction('begin', (query) => query('select name from weft_migration order by name', [], 'array'))

test('a migration that is merged late, under an earlier number, is applied all the same', async () => {
  await give('0000_a.sql', 'create table a (x int)--> statement-breakpoint\ncreate index on a (x)')
  await give('0002_c.sql', 'create table c (x int)')
  await run()
  await give('0001_b.sql', 'create table b (x int)')
  await run()
  assert.deepEqual(await applied(), [['0000_a.sql'], ['0001_b.sql'], ['0002_c.sql']])
})

test('a migration that fails leaves nothing of itself or of those before it', async () => {
  await give('0003_d.sql', 'create table d (x int)')
  await give('0004_e.sql', 'create table e (x int)--> statement-breakpoint\nselect nonsense')
  await assert.rejects(run(), /42703/)
  assert.equal((await applied()).length, 3)
  await rm(join(folder, '0004_e.sql'))
  await run()
  assert.equal((await applied()).length, 4)
})

test('an older version, which lacks the newest migrations, runs on the newer schema', async () => {
  await rm(join(folder, '0003_d.sql'))
  await run()
  assert.equal((await applied()).length, 4)
})

test('a migration that was edited after it was applied is refused by name', async () => {
  await give('0000_a.sql', 'create table a (x bigint)')
  await assert.rejects(run(), /0000_a\.sql was applied to this database in another form/)
})
