import { z } from 'zod'

/**
 * A sealed archive: a mesh with its root, its Secrets and all other configuration in one file.
 *
 *     "WEFTARC" 0x01 | header length, 4 bytes big-endian | header, JSON | chunks
 *
 * The payload is JSON lines, gzipped, in chunks of `chunkBytes`, each sealed by AES-256-GCM with a tag of 16 bytes behind it (the STREAM construction, Hoang et al. 2015): the nonce is the chunk's
 * number in 11 bytes and a last byte that is 1 for the final chunk, the key HKDF-SHA256 of the file key with the SHA-256 of all that stands before the chunks as salt. So nothing can be changed, moved,
 * cut off or added unseen. The header says how the file key is had: by a passphrase, or by the private key of a recipient. The server is given the file key and never what wraps it.
 */
export const ARCHIVE_MAGIC = new Uint8Array([0x57, 0x45, 0x46, 0x54, 0x41, 0x52, 0x43, 1])
export const ARCHIVE_HEADER_BYTES_MAX = 16_384
export const ARCHIVE_CHUNK_BYTES = 65_536

const base64 = (bytesMax: number) => z.base64().max(Math.ceil(bytesMax / 3) * 4)

export const archiveHeader = z.strictObject({
  chunkBytes: z.literal(ARCHIVE_CHUNK_BYTES),
  keys: z
    .array(
      z.discriminatedUnion('kind', [
        z.strictObject({
          kind: z.literal('passphrase'),
          /** scrypt (RFC 7914): whoever opens an archive spends 128·n·r bytes. */
          n: z.int().min(2 ** 14).max(2 ** 20),
          r: z.int().min(1).max(16),
          p: z.int().min(1).max(4),
          salt: base64(64),
          wrapped: base64(128),
        }),
        z.strictObject({ kind: z.literal('x25519'), recipient: base64(32), ephemeral: base64(32), wrapped: base64(128) }),
      ]),
    )
    .min(1)
    .max(16),
})
export type ArchiveHeader = z.infer<typeof archiveHeader>

const fileKey = z
  .base64()
  .length(44)
  .describe('The file key, 32 bytes in base64. It seals this one archive.')

/** `POST …/meshes/{mesh}/archive`: answers the archive. */
export const archiveRequest = z.strictObject({ header: archiveHeader.describe('How the file key is had again; stands in the archive as it is.'), key: fileKey })
export type ArchiveRequest = z.infer<typeof archiveRequest>

/** `POST /api/v1/organizations/{organization}/archives`: makes a mesh of an archive. */
export const restoreRequest = z.strictObject({
  mesh: z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'lower-case letters, digits and dashes, at most 63').describe('A mesh that is not there yet, or has neither objects nor workloads.'),
  archive: z.base64(),
  key: fileKey,
  message: z.string().max(1000).optional(),
})
export type RestoreRequest = z.infer<typeof restoreRequest>

export const restoreResponse = z.object({
  mesh: z.string(),
  trustDomain: z.string(),
  root: z.enum(['archived', 'own']).describe('archived: proxies that trust the old mesh trust this one. own: a mesh with the archive’s root is here already, and this one has another.'),
  revision: z.int(),
  objects: z.int(),
  secrets: z.int(),
  from: z.object({ mesh: z.string(), revision: z.int(), exportedAt: z.string() }),
})
export type RestoreResponse = z.infer<typeof restoreResponse>
