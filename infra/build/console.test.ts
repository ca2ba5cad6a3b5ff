import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { buildConsole } from './console.ts'
import { consoleFiles } from './static-files.ts'

test('the built page names only its own files, whose names change with their content, and nothing inline', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'weft-build-'))
  try {
    await buildConsole(directory)
    const files = consoleFiles(directory)
    const page = Buffer.from(files.get('/')?.bytes ?? []).toString('utf8')
    const named = [...page.matchAll(/(?:href|src)="\.(\/[^"]+)"/g)].map((found) => found[1] ?? '')
    assert.deepEqual(named.map((name) => [files.get(name)?.immutable, files.get(name)?.contentType]), [[true, 'image/svg+xml'], [true, 'text/css; charset=utf-8'], [true, 'text/javascript; charset=utf-8']])
    assert.equal(files.get('/')?.immutable, false)
    assert.deepEqual([...files.keys()].sort(), ['/', '/index.html', ...named].sort())
    assert.doesNotMatch(page, /https?:|<style|style=|<script(?![^>]*src=)/)
    assert.doesNotMatch(Buffer.from(files.get(named[1] ?? '')?.bytes ?? []).toString('utf8'), /url\(|https?:/)
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('a folder without a build says what to run', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'weft-build-'))
  try {
    assert.throws(() => consoleFiles(directory), /run node infra\/build\/console.ts/)
  } finally {
    await rm(directory, { recursive: true })
  }
})
