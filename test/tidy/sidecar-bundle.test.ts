import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Metafile } from 'esbuild'
import { version } from '#proxy/version.ts'
import { bundleProxies } from '#infra/build/bundle.ts'

const neverInAProxy = ['hono', '@hono', 'drizzle-orm', 'pg', 'zod', 'node-forge', 'yaml', 'react', 'react-dom', '@electric-sql', 'prom-client', 'lru-cache', 'esbuild']
const loadedWhenNeeded = ['@opentelemetry']

/** Files of the bundle that a start reads: the entry and what it imports statically. */
function startingFiles(metafile: Metafile, entry: string): Set<string> {
  const files = new Set([entry])
  for (const file of files) for (const { path: target, kind } of metafile.outputs[file]?.imports ?? []) if (kind === 'import-statement' && metafile.outputs[target]) files.add(target)
  return files
}

test('a sidecar and a gateway carry nothing of the control plane, and load traces only when needed', async (t) => {
  const outDir = mkdtempSync(path.join(tmpdir(), 'weft-bundle-'))
  t.after(() => rmSync(outDir, { recursive: true, force: true }))
  const { metafile } = await bundleProxies({ outDir })
  const packagesOf = (files: Iterable<string>) => new Set([...files].flatMap((file) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? []))
  const all = Object.keys(metafile.inputs)
  assert.deepEqual([...packagesOf(all)].filter((name) => neverInAProxy.some((one) => name === one || name.startsWith(`${one}/`))), [])
  assert.deepEqual(all.filter((file) => /^(api|db|cli|console|agent)\//.test(file)), [])
  // As an import or a require it would have Node load its fetch client (infra/build/bundle.ts).
  const external = Object.values(metafile.outputs).flatMap(({ imports }) => imports.filter((one) => one.external).map((one) => one.path))
  assert.deepEqual(external.filter((one) => /^(node:)?http$/.test(one)), [])
  for (const name of ['proxy', 'gateway']) {
    const entry = Object.keys(metafile.outputs).find((file) => file.endsWith(`/${name}.mjs`))
    assert.ok(entry)
    const files = startingFiles(metafile, entry)
    const inputs = [...files].flatMap((file) => Object.keys(metafile.outputs[file]?.inputs ?? {}))
    assert.deepEqual([...packagesOf(inputs)].filter((one) => loadedWhenNeeded.some((prefix) => one.startsWith(prefix))), [])
    const bytes = [...files].map((file) => readFileSync(path.resolve(import.meta.dirname, '../..', file)))
    const whole = Buffer.concat(bytes)
    t.diagnostic(`${name}: ${Math.round(whole.length / 1024)} KB, ${Math.round(gzipSync(whole).length / 1024)} KB gzip, of ${[...packagesOf(inputs)].sort().join(' ')}`)
  }
})

test('the version that a proxy names is the release', () => {
  const release: unknown = JSON.parse(readFileSync(path.join(import.meta.dirname, '../../package.json'), 'utf8'))
  assert.equal(typeof release === 'object' && release !== null && 'version' in release && release.version, version)
})
