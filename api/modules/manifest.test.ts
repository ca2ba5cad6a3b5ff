import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { archiveOf } from '#test/parts/registry.ts'
import { moduleIn } from './layer.ts'
import { readManifest } from './manifest.ts'
import { ModuleProblem } from './problem.ts'
import { DIGEST, readReference } from './reference.ts'

const RUNS = 2000

/** Either an answer, or a problem in words; never anything else. */
function judged<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch (error) {
    assert.ok(error instanceof ModuleProblem, String(error))
    return undefined
  }
}

const digest = fc.oneof(fc.constant(`sha256:${'ab'.repeat(32)}`), fc.string())
const mediaType = fc.constantFrom('application/vnd.oci.image.layer.v1.tar+gzip', 'application/vnd.module.wasm.content.layer.v1+wasm', 'application/vnd.oci.image.manifest.v1+json', 'application/vnd.oci.image.index.v1+json', 'text/plain')
const descriptor = fc.record({ mediaType: fc.oneof(mediaType, fc.anything()), digest, size: fc.oneof(fc.nat(), fc.anything()), platform: fc.oneof(fc.record({ os: fc.constantFrom('linux', 'unknown', 'wasi'), architecture: fc.constantFrom('amd64', 'wasm') }), fc.anything()) }, { requiredKeys: [] })
const list = fc.oneof(fc.array(fc.oneof(descriptor, fc.anything())), fc.anything())
const document = fc.oneof(fc.record({ mediaType: fc.oneof(mediaType, fc.anything()), layers: list, manifests: list }, { requiredKeys: [] }), fc.anything())

test('whatever a registry answers as a manifest leads to content by its digest, or is refused in words', () => {
  fc.assert(
    fc.property(document, fc.option(mediaType, { nil: undefined }), (value, said) => {
      const text = JSON.stringify(value, (_key, one: unknown) => (typeof one === 'bigint' ? Number(one) : one)) as string | undefined
      const leads = judged(() => readManifest(Buffer.from(text ?? ''), said))
      if (leads === undefined) return
      assert.match(leads.digest, DIGEST)
      assert.ok(Number.isSafeInteger(leads.bytes) && leads.bytes >= 0)
    }),
    { numRuns: RUNS },
  )
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void judged(() => readManifest(bytes, undefined))), { numRuns: RUNS })
})

test('whatever bytes a layer has, it holds a module or is refused in words', async () => {
  const archive = archiveOf({ 'plugin.wasm': Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]) })
  assert.equal((await moduleIn(archive)).length, 8)
  const broken = fc.tuple(fc.nat(archive.length - 1), fc.nat(255)).map(([at, byte]) => Buffer.concat([archive.subarray(0, at), Buffer.from([byte]), archive.subarray(at + 1)]))
  const cut = fc.nat(archive.length).map((at) => archive.subarray(0, at))
  await fc.assert(
    fc.asyncProperty(fc.oneof(broken, cut, fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes))), async (bytes) => {
      await moduleIn(bytes).catch((error: unknown) => assert.ok(error instanceof ModuleProblem, String(error)))
    }),
    { numRuns: RUNS },
  )
})

test('names of images are read as everywhere', () => {
  const read = (url: string): string => {
    const { registry, repository, reference } = readReference(url)
    return `${registry} ${repository} ${reference}`
  }
  const digested = `sha256:${'0a'.repeat(32)}`
  assert.equal(read('oci://registry.example.com:5000/team/sign-in:1.2'), 'registry.example.com:5000 team/sign-in 1.2')
  assert.equal(read('registry.example.com/sign-in'), 'registry.example.com sign-in latest')
  assert.equal(read(`OCI://localhost/a/b:1@${digested}`), `localhost a/b ${digested}`)
  assert.equal(read('oci://docker.io/nginx'), 'index.docker.io library/nginx latest')
  assert.equal(read('team/app:2'), 'index.docker.io team/app 2')
  for (const bad of ['oci://', 'oci://host.example/', 'oci://host.example/../x', 'oci://host.example/A', 'oci://user@host.example/a', 'oci://host.example/a?b', 'oci://host.example/a:b/c#d', 'oci://host.example/a@sha256:12', 'oci://ho st.example/a', 'oci://host.example:80:80/a', 'oci://host.example/a%2e']) assert.throws(() => readReference(bad), ModuleProblem, bad)
  fc.assert(fc.property(fc.oneof(fc.array(fc.constantFrom('a', 'b2', '/', ':', '.', '-', '_', '@', '1', '80', 'oci://', 'localhost', `sha256:${'0a'.repeat(32)}`, '%2e', '[', ']')).map((parts) => parts.join('')), fc.string()), (url) => {
    const image = judged(() => readReference(url))
    if (image !== undefined) assert.equal(new URL(`https://${image.registry}/v2/${image.repository}/manifests/${image.reference}`).pathname, `/v2/${image.repository}/manifests/${image.reference}`)
  }), { numRuns: RUNS })
})
