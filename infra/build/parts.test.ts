import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { builtParts } from './parts.ts'

test('a build holds all that a start runs, and the same sources are built once', async () => {
  const first = await builtParts()
  for (const file of [first.proxy, first.gateway, first.up, first.server, path.join(first.consoleDir, 'index.html')]) assert.equal(existsSync(file), true, file)
  const second = await builtParts()
  // Somebody may edit a source between the two; then the folder says so.
  if (second.proxy === first.proxy) assert.equal(second.fresh, false)
  else assert.equal(second.fresh, true)
})
