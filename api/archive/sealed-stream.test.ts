import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { ARCHIVE_CHUNK_BYTES, type ArchiveHeader } from '#core/contract/archive.ts'
import { Faults } from '#core/fault/fault.ts'
import { readPayload, writePayload } from './payload.ts'
import { archivePreamble, openArchive, sealStream } from './sealed-stream.ts'

const fileKey = Buffer.alloc(32, 3)
const header: ArchiveHeader = { chunkBytes: ARCHIVE_CHUNK_BYTES, keys: [{ kind: 'passphrase', n: 2 ** 17, r: 8, p: 1, salt: 'AAAA', wrapped: 'AAAA' }] }

async function* inPieces(payload: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < payload.length; at += size) yield payload.subarray(at, at + size)
}
async function sealed(payload: Buffer, size = 10_000): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of sealStream(fileKey, header, inPieces(payload, size))) pieces.push(piece)
  return Buffer.concat(pieces)
}
const refused = (archive: Buffer, key = fileKey): void => assert.throws(() => openArchive(key, archive), (error) => error instanceof Faults && error.faults[0]?.code === 'archive.sealed')

test('what was sealed comes back, of any length and however it came', async () => {
  for (const length of [0, 1, ARCHIVE_CHUNK_BYTES - 1, ARCHIVE_CHUNK_BYTES, ARCHIVE_CHUNK_BYTES + 1, 3 * ARCHIVE_CHUNK_BYTES, 200_001]) {
    const payload = randomBytes(length)
    for (const size of [999, 70_000, 500_000]) assert.deepEqual(openArchive(fileKey, await sealed(payload, size)), payload)
  }
})

test('a byte that changed anywhere, a cut anywhere, more at the end, chunks in another order and another key are all found', async () => {
  const payload = randomBytes(2 * ARCHIVE_CHUNK_BYTES + 100)
  const archive = await sealed(payload)
  const chunks = archivePreamble(header).length
  for (let at = 0; at < archive.length; at += at < chunks + 64 ? 1 : 4099) {
    const changed = Buffer.from(archive)
    changed[at] = (changed[at] ?? 0) ^ 1
    refused(changed)
  }
  const size = ARCHIVE_CHUNK_BYTES + 16
  for (const length of [0, 7, 11, chunks - 1, chunks, chunks + 15, chunks + 16, chunks + size, chunks + 2 * size, archive.length - 1]) refused(archive.subarray(0, length))
  refused(Buffer.concat([archive, Buffer.of(0)]))
  refused(Buffer.concat([archive.subarray(0, chunks), archive.subarray(chunks + size, chunks + 2 * size), archive.subarray(chunks, chunks + size), archive.subarray(chunks + 2 * size)]))
  refused(archive, Buffer.alloc(32, 4))
})

test('nothing of the payload stands in the archive, and a payload that lost a line is none', async () => {
  const mesh = { name: 'shop', trustDomain: 'cluster.local', settings: {}, rootCertificate: 'c', rootKey: 'canary-of-the-root-key', revision: 7, exportedAt: '2026-01-01T00:00:00.000Z' }
  const objects = [{ object: { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'prod' }, data: { a: 'canary-of-a-secret' } }, createdAtMs: 1 }]
  const pieces: Uint8Array[] = []
  for await (const piece of writePayload({ mesh, objects })) pieces.push(piece)
  const payload = Buffer.concat(pieces)
  const archive = await sealed(payload)
  assert.ok(!archive.includes('canary') && !archive.includes(payload.subarray(0, 16)))
  assert.deepEqual(readPayload(openArchive(fileKey, archive), 10), { mesh, objects })
  const short: Uint8Array[] = []
  for await (const piece of writePayload({ mesh, objects: [] })) short.push(piece)
  assert.deepEqual(readPayload(Buffer.concat(short), 10).objects, [])
  for (const wrong of [Buffer.from('no gzip'), payload.subarray(0, payload.length - 9)]) assert.throws(() => readPayload(wrong, 10), (error) => error instanceof Faults && error.faults[0]?.code === 'archive.sealed')
})

test('of more objects than a mesh may have nothing is made, nor is anything taken behind the end', () => {
  const mesh = JSON.stringify({ mesh: { name: 'shop', trustDomain: 'cluster.local', settings: {}, rootCertificate: 'c', rootKey: 'k', revision: 7, exportedAt: '' } })
  const object = '{"object":{},"createdAtMs":0}'
  const read = (lines: string[]) => readPayload(gzipSync([mesh, ...lines].join('\n')), 2).objects.length
  assert.equal(read([object, object, '{"end":2}']), 2)
  for (const wrong of [[object, object, object, '{"end":3}'], Array.from({ length: 100_000 }, () => object), [object, '{"end":1}', object], [object, '{"end":2}'], [object], [object.replace('0}', '1e300}'), '{"end":1}']]) {
    assert.throws(() => read(wrong), (error) => error instanceof Faults && error.faults[0]?.code === 'archive.sealed')
  }
})
