import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { sourceFiles } from './sources.ts'

const EMITTED = /(?:\blog|#log|\.log)\.(?:debug|info|warn|error)\(\s*'([a-z-]+\.[a-z.-]+)'|\bnote\??\.?\(\s*'([a-z-]+\.[a-z.-]+)'|#write\([^']*'([a-z-]+\.[a-z.-]+)'/g

test('docs/events.md lists every event that is logged, in order, and no other', () => {
  const emitted = new Set<string>()
  for (const file of sourceFiles()) {
    if (file.includes('.test.') || file.startsWith('test/') || file.startsWith('bench/')) continue
    for (const found of readFileSync(file, 'utf8').matchAll(EMITTED)) emitted.add(found[1] ?? found[2] ?? found[3] ?? '')
  }
  const listed = [...readFileSync('docs/events.md', 'utf8').matchAll(/^\| `([a-z.-]+)` \|/gm)].map(([, event]) => event)
  assert.deepEqual(listed, [...emitted].sort())
})
