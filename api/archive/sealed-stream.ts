import { createCipheriv, createDecipheriv, createHash, hkdfSync } from 'node:crypto'
import { ARCHIVE_CHUNK_BYTES, ARCHIVE_HEADER_BYTES_MAX, ARCHIVE_MAGIC, type ArchiveHeader, archiveHeader } from '#core/contract/archive.ts'
import { fault, Faults } from '#core/fault/fault.ts'

const TAG_BYTES = 16
const PREFIX_BYTES = ARCHIVE_MAGIC.length + 4

const damaged = (rule: string): Faults => new Faults([fault('archive.sealed', { path: 'archive', rule })])

/** All that stands before the chunks. */
export function archivePreamble(header: ArchiveHeader): Buffer {
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length)
  return Buffer.concat([ARCHIVE_MAGIC, length, text])
}

const chunkKey = (fileKey: Buffer, preamble: Uint8Array): Buffer => Buffer.from(hkdfSync('sha256', fileKey, createHash('sha256').update(preamble).digest(), 'weft archive chunks', 32))

function nonceOf(index: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeUIntBE(index, 5, 6)
  nonce[11] = last ? 1 : 0
  return nonce
}

/**
 * Seals pieces of any size into chunks of one size, as they come: core/contract/archive.ts has the form.
 * @param fileKey 32 bytes, for this archive alone
 */
export async function* sealStream(fileKey: Buffer, header: ArchiveHeader, payload: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  const preamble = archivePreamble(header)
  const key = chunkKey(fileKey, preamble)
  yield preamble
  let index = 0
  const seal = (chunk: Uint8Array, last: boolean): Buffer => {
    const cipher = createCipheriv('aes-256-gcm', key, nonceOf(index++, last), { authTagLength: TAG_BYTES })
    return Buffer.concat([cipher.update(chunk), cipher.final(), cipher.getAuthTag()])
  }
  let waiting = Buffer.alloc(0)
  for await (const piece of payload) {
    waiting = Buffer.concat([waiting, piece])
    // A full chunk waits for what follows: the final one says that it is.
    for (; waiting.length > ARCHIVE_CHUNK_BYTES; waiting = waiting.subarray(ARCHIVE_CHUNK_BYTES)) yield seal(waiting.subarray(0, ARCHIVE_CHUNK_BYTES), false)
  }
  yield seal(waiting, true)
}

/** Header and place of the chunks. @throws Faults 'archive.sealed' when it is no archive of a known form */
function readPreamble(archive: Buffer): { readonly header: ArchiveHeader; readonly bytes: number } {
  if (archive.length < PREFIX_BYTES || !archive.subarray(0, ARCHIVE_MAGIC.length - 1).equals(ARCHIVE_MAGIC.subarray(0, -1))) throw damaged('a sealed archive of Weft')
  if (archive[ARCHIVE_MAGIC.length - 1] !== ARCHIVE_MAGIC.at(-1)) throw damaged(`an archive of version ${ARCHIVE_MAGIC.at(-1)}; this one is of ${archive[ARCHIVE_MAGIC.length - 1]}`)
  const length = archive.readUInt32BE(ARCHIVE_MAGIC.length)
  if (length > ARCHIVE_HEADER_BYTES_MAX || archive.length < PREFIX_BYTES + length) throw damaged('an archive that is whole: its header is cut short')
  const bytes = PREFIX_BYTES + length
  const read = archiveHeader.safeParse(jsonOf(archive.subarray(PREFIX_BYTES, bytes)))
  if (!read.success) throw damaged('an archive whose header can be read')
  return { header: read.data, bytes }
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    // What is no JSON is no header either.
    return undefined
  }
}

/**
 * The payload, whole or not at all.
 * @throws Faults 'archive.sealed' when the key is another, or anything was changed, cut off or added
 */
export function openArchive(fileKey: Buffer, archive: Buffer): Buffer {
  const { bytes } = readPreamble(archive)
  const key = chunkKey(fileKey, archive.subarray(0, bytes))
  const sealed = archive.subarray(bytes)
  const size = ARCHIVE_CHUNK_BYTES + TAG_BYTES
  const chunks = Math.max(1, Math.ceil(sealed.length / size))
  const opened: Buffer[] = []
  for (let index = 0; index < chunks; index++) {
    const chunk = sealed.subarray(index * size, (index + 1) * size)
    if (chunk.length < TAG_BYTES) throw damaged('an archive that is whole: its end is missing')
    const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(index, index === chunks - 1), { authTagLength: TAG_BYTES })
    decipher.setAuthTag(chunk.subarray(chunk.length - TAG_BYTES))
    try {
      opened.push(Buffer.concat([decipher.update(chunk.subarray(0, chunk.length - TAG_BYTES)), decipher.final()]))
    } catch {
      // OpenSSL says no more than that the tag does not fit.
      throw damaged(`an archive that is whole and unchanged, and its own key: chunk ${index + 1} of ${chunks} does not open`)
    }
  }
  return Buffer.concat(opened)
}
