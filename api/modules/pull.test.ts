import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { RequestListener } from 'node:http'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { httpServer } from '#proxy/testing/peers.ts'
import { wasmModule } from '#cli/engines/wasm-module.ts'
import { archiveOf, digestOf, MODULE_LAYER, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, pushModule, startRegistry } from '#test/parts/registry.ts'
import { MODULE_BYTES_MAX, ModuleProblem } from './problem.ts'
import { pull, pullAgain } from './pull.ts'
import { credentialsFor } from './pull-secret.ts'

const module = Buffer.from(wasmModule)
const sha256 = createHash('sha256').update(module).digest('hex')
const within = { privateNetworks: true, signal: AbortSignal.timeout(240_000) }
const nobody = (): undefined => undefined

const problem = (words: RegExp) => (error: unknown): boolean => {
  assert.ok(error instanceof ModuleProblem, String(error))
  assert.match(error.message, words)
  return true
}

test('modules come out of a registry in all forms that images of modules have, by tag and by digest', async (t) => {
  const registry = await startRegistry(t)
  for (const form of ['artifact', 'oci', 'docker'] as const) {
    const digest = await pushModule(registry, `plugins/${form}`, '1', module, form)
    const pulled = await pull({ url: `oci://${registry.host}/plugins/${form}:1` }, nobody, within)
    assert.equal(pulled.sha256, sha256)
    assert.ok(pulled.bytes.equals(module))
    // No scheme is oci, and the digest may be said twice.
    assert.equal((await pull({ url: `${registry.host}/plugins/${form}@${digest}`, sha256: digest.slice(7) }, nobody, within)).sha256, sha256)
    await assert.rejects(pull({ url: `${registry.host}/plugins/${form}:1`, sha256 }, nobody, within), problem(/its digest is sha256:.* not that of sha256/))
    // What was had is had again by the layer's digest alone.
    registry.asked.length = 0
    assert.ok((await pullAgain(pulled.origin, sha256, nobody, within)).bytes.equals(module))
    assert.equal(registry.asked.length, 1)
    assert.match(registry.asked[0] ?? '', /\/blobs\/sha256:/)
  }
  await assert.rejects(pull({ url: `oci://${registry.host}/plugins/oci:none` }, nobody, within), problem(/has no plugins\/oci\/manifests\/none/))
})

test('an index leads to the image that says it is a module, else to that of linux/amd64', async (t) => {
  const registry = await startRegistry(t)
  const digests: string[] = []
  for (const text of ['first', 'second', 'third']) digests.push(await pushModule(registry, 'many', text, Buffer.concat([module, Buffer.from([0, text.length + 1, text.length]), Buffer.from(text)])))
  const entry = (nth: number, os: string, architecture: string): object => ({ mediaType: OCI_MANIFEST, digest: digests[nth], size: 500, platform: { os, architecture } })
  const shaOf = async (url: string): Promise<string> => (await pull({ url }, nobody, within)).bytes.subarray(module.length + 3).toString()
  const index = await registry.manifest('many', 'wasm', OCI_INDEX, { schemaVersion: 2, manifests: [entry(0, 'linux', 'arm64'), entry(1, 'linux', 'amd64'), entry(2, 'wasip1', 'wasm')] })
  assert.equal(await shaOf(`${registry.host}/many:wasm`), 'third')
  await registry.manifest('many', 'linux', OCI_INDEX, { schemaVersion: 2, manifests: [entry(0, 'unknown', 'unknown'), entry(2, 'linux', 'arm64'), entry(1, 'linux', 'amd64')] })
  assert.equal(await shaOf(`${registry.host}/many:linux`), 'second')
  // Either digest is the image's.
  for (const one of [index, digests[2] ?? '']) assert.ok(await pull({ url: `${registry.host}/many:wasm`, sha256: one.slice(7) }, nobody, within))
  await registry.manifest('many', 'nested', OCI_INDEX, { schemaVersion: 2, manifests: [{ mediaType: OCI_INDEX, digest: index, size: 500 }] })
  await assert.rejects(pull({ url: `${registry.host}/many:nested` }, nobody, within), problem(/leads to another index/))
})

test('a registry is shown the pull secret by either scheme, and the store that it redirects to is not', async (t) => {
  const registry = await startRegistry(t)
  await pushModule(registry, 'private/sign-in', '1', module, 'oci')
  const url = `oci://${registry.host}/private/sign-in:1`
  const secret = { data: { '.dockerconfigjson': Buffer.from(registry.pullSecret()).toString('base64') } }
  const wrong = { stringData: { '.dockerconfigjson': registry.pullSecret('wrong-4711') } }
  registry.redirects = true
  for (const entry of ['basic', 'bearer'] as const) {
    registry.entry = entry
    assert.equal((await pull({ url }, (host) => credentialsFor(secret, 'pull', host), within)).sha256, sha256)
    await assert.rejects(pull({ url }, nobody, within), problem(/answers 401 to a request without credentials/))
    await assert.rejects(pull({ url }, (host) => credentialsFor(wrong, 'pull', host), within), (error: Error) => {
      assert.doesNotMatch(`${error.message} ${error.stack}`, /wrong-4711|cHVsbGVy/)
      return problem(/answers 401 to the credentials of the pull secret/)(error)
    })
  }
  assert.deepEqual([...new Set(registry.shownToStore)], ['nobody'])
  await assert.rejects(pull({ url }, (host) => credentialsFor(undefined, 'pull', host), within), problem(/no Secret pull/))
  await assert.rejects(pull({ url }, (host) => credentialsFor({ stringData: { '.dockerconfigjson': 'letmein{' } }, 'pull', host), within), (error: Error) => !error.message.includes('letmein') && problem(/is no JSON/)(error))
})

test('what a URL leads to without a registry is taken as well: a module, zipped or in an archive', async (t) => {
  const server = await httpServer(t, (request, response) => {
    if (request.url === '/moved') return response.writeHead(302, { location: '/plain' }).end()
    response.end(request.url === '/plain' ? module : request.url === '/zipped' ? gzipSync(module) : request.url === '/archive' ? archiveOf({ 'plugin.wasm': module }) : 'nothing of the kind')
  })
  for (const path of ['plain', 'zipped', 'archive', 'moved']) assert.equal((await pull({ url: `http://127.0.0.1:${server.port}/${path}` }, nobody, within)).sha256, sha256)
  await assert.rejects(pull({ url: `http://127.0.0.1:${server.port}/else` }, nobody, within), problem(/neither a module nor an archive/))
  await assert.rejects(pullAgain({ url: `http://127.0.0.1:${server.port}/plain` }, '0'.repeat(64), nobody, within), problem(/another module/))
})

/** A registry that answers as it likes. */
async function liar(t: Parameters<typeof httpServer>[0], answer: RequestListener): Promise<string> {
  return `127.0.0.1:${(await httpServer(t, answer)).port}/a/b`
}

const manifestOf = (digest: string, size: number, mediaType = MODULE_LAYER): string => JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, layers: [{ mediaType, digest, size }] })

test('a registry that lies, or answers without end, is found out', async (t) => {
  const serving = (manifest: string, blob: Buffer) => liar(t, (request, response) => void response.end(request.url?.includes('/manifests/') === true ? manifest : blob))
  const zeros = `sha256:${'0'.repeat(64)}`
  await assert.rejects(pull({ url: `${await serving('{}', module)}@${zeros}` }, nobody, within), problem(/another manifest/))
  await assert.rejects(pull({ url: await serving(manifestOf(zeros, module.length), module) }, nobody, within), problem(/another layer/))
  await assert.rejects(pull({ url: await serving(manifestOf(digestOf(module), 10), module) }, nobody, within), problem(/more than 10 bytes/))
  await assert.rejects(pull({ url: await serving(manifestOf(digestOf(module), MODULE_BYTES_MAX + 1), module) }, nobody, within), problem(/at most 33554432/))
  // Forty thousand to one: it is given up before it is unpacked.
  const bomb = gzipSync(Buffer.alloc(MODULE_BYTES_MAX + 16 * 1024 * 1024))
  await assert.rejects(pull({ url: await serving(manifestOf(digestOf(bomb), bomb.length, OCI_LAYER), bomb) }, nobody, within), problem(/its files have more than/))
  const endless = await liar(t, (request, response) => {
    const more = (): void => {
      if (!response.destroyed) response.write(Buffer.alloc(65_536), () => setImmediate(more))
    }
    request.on('close', () => response.destroy())
    more()
  })
  await assert.rejects(pull({ url: endless }, nobody, within), problem(/more than 4194304 bytes/))
  await assert.rejects(pull({ url: await liar(t, (_request, response) => void response.writeHead(302, { location: `${_request.url}x` }).end()) }, nobody, within), problem(/redirects more than 5 times/))
  const giveUp = new AbortController()
  const silent = await liar(t, () => giveUp.abort())
  await assert.rejects(pull({ url: silent }, nobody, { privateNetworks: true, signal: giveUp.signal }), problem(/did not answer in time/))
})

test('no place of the control plane’s own surroundings is asked unless whoever runs it allows that, by whatever way it is named', async (t) => {
  let asked = 0
  const server = await httpServer(t, (_request, response) => {
    asked += 1
    response.end()
  })
  const outside = { privateNetworks: false, signal: within.signal }
  for (const host of ['127.0.0.1', 'localhost', '[::1]', '10.0.0.1', '169.254.169.254', '192.168.1.1', '172.16.0.1', '[fd00::1]', '[::ffff:127.0.0.1]']) {
    for (const url of [`oci://${host}:${server.port}/a/b`, `http://${host}:${server.port}/a`, `https://${host}:${server.port}/a`]) await assert.rejects(pull({ url }, nobody, outside), problem(/HTTPS only|not public|no image/))
  }
  assert.equal(asked, 0)
})
