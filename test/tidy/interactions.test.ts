import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

test('docs/reference/interactions.md names cases that are there and that are played', () => {
  const rows = [...readFileSync('docs/reference/interactions.md', 'utf8').matchAll(/\| \[([a-z0-9-]+)\]\(\.\.\/\.\.\/(api\/translate\/cases\/[a-z0-9-]+)\) \|$/gm)]
  assert.ok(rows.length >= 20, `${rows.length} rows`)
  assert.deepEqual(rows.filter(([, name = '', folder = '']) => !folder.endsWith(`/${name}`) || !existsSync(`${folder}/requests.yaml`)).map(([row]) => row), [])
})
