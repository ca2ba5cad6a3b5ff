import { createCipheriv, createDecipheriv, createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, hkdfSync, type KeyObject, randomBytes, scryptSync } from 'node:crypto'
import { ARCHIVE_CHUNK_BYTES, ARCHIVE_HEADER_BYTES_MAX, ARCHIVE_MAGIC, type ArchiveHeader, archiveHeader } from '#core/contract/archive.ts'

/** What opens an archive's file key, or closes it. Passphrases and private keys stay on this machine: a server is told the file key alone. */
export type ArchiveLock = { readonly kind: 'passphrase'; readonly passphrase: string } | { readonly kind: 'recipient'; readonly key: KeyObject }
export type ArchiveOpener = { readonly kind: 'passphrase'; readonly passphrase: string } | { readonly kind: 'identity'; readonly key: KeyObject }

/** The passphrase or private key is not one that opens the archive. */
export class WrongArchiveKey extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'WrongArchiveKey'
  }
}

const FILE_KEY_BYTES = 32
/** 128 MiB and most of a second for each guess. */
const SCRYPT = { n: 2 ** 17, r: 8, p: 1 }
/** SubjectPublicKeyInfo of X25519 before the 32 bytes of the key (RFC 8410 §4). */
const X25519_SPKI = Buffer.from('302a300506032b656e032100', 'hex')

type Wrapped = ArchiveHeader['keys'][number]

/** A new file key, and the header that says how it is had again. */
export function newFileKey(lock: ArchiveLock): { readonly header: ArchiveHeader; readonly fileKey: Buffer } {
  const fileKey = randomBytes(FILE_KEY_BYTES)
  return { header: { chunkBytes: ARCHIVE_CHUNK_BYTES, keys: [lock.kind === 'passphrase' ? byPassphrase(lock.passphrase, fileKey) : toRecipient(lock.key, fileKey)] }, fileKey }
}

/** @throws WrongArchiveKey when nothing that is at hand opens it */
export function openFileKey(header: ArchiveHeader, opener: ArchiveOpener): Buffer {
  const own = opener.kind === 'identity' ? rawPublic(createPublicKey(opener.key)).toString('base64') : ''
  for (const key of header.keys) {
    if (key.kind === 'passphrase' && opener.kind === 'passphrase') {
      const found = unwrap(stretched(opener.passphrase, key), key.wrapped)
      if (found !== undefined) return found
    }
    if (key.kind === 'x25519' && opener.kind === 'identity' && key.recipient === own) {
      const found = unwrap(agreed(opener.key, publicFrom(key.ephemeral), key), key.wrapped)
      if (found !== undefined) return found
    }
  }
  const wanted = new Set(header.keys.map((key) => key.kind))
  if (opener.kind === 'passphrase') throw new WrongArchiveKey(wanted.has('passphrase') ? 'the passphrase does not open this archive' : 'this archive is sealed to a recipient: --identity names the private key')
  throw new WrongArchiveKey(wanted.has('x25519') ? 'this archive is sealed to another recipient than this private key' : 'this archive is sealed with a passphrase')
}

/** @throws Error when it is no archive */
export function readArchiveHeader(archive: Buffer): ArchiveHeader {
  const at = ARCHIVE_MAGIC.length + 4
  const length = archive.length < at ? -1 : archive.readUInt32BE(ARCHIVE_MAGIC.length)
  if (!isArchive(archive) || length < 0 || length > ARCHIVE_HEADER_BYTES_MAX || archive.length < at + length) throw new Error('this is no whole archive of a version that is known here')
  try {
    return archiveHeader.parse(JSON.parse(archive.subarray(at, at + length).toString('utf8')))
  } catch (error) {
    throw new Error('the header of this archive cannot be read: it was changed, or is of another version', { cause: error })
  }
}

export const isArchive = (bytes: Buffer): boolean => bytes.subarray(0, ARCHIVE_MAGIC.length).equals(ARCHIVE_MAGIC)

/** A PEM of X25519, public to seal and private to open. @throws Error for any other */
export function recipientOf(pem: string): KeyObject {
  const key = createPublicKey(pem)
  if (key.asymmetricKeyType !== 'x25519') throw new Error(`an X25519 key is wanted, not one of ${key.asymmetricKeyType ?? 'an unknown kind'}: openssl genpkey -algorithm x25519`)
  return key
}

export function identityOf(pem: string): KeyObject {
  const key = createPrivateKey(pem)
  if (key.asymmetricKeyType !== 'x25519') throw new Error(`an X25519 private key is wanted, not one of ${key.asymmetricKeyType ?? 'an unknown kind'}`)
  return key
}

function byPassphrase(passphrase: string, fileKey: Buffer): Wrapped {
  const about = { ...SCRYPT, salt: randomBytes(16).toString('base64') }
  return { kind: 'passphrase', ...about, wrapped: wrap(stretched(passphrase, about), fileKey) }
}

// NFKC, so that one passphrase typed on two keyboards is one (RFC 8265 §4.2).
const stretched = (passphrase: string, { n, r, p, salt }: { readonly n: number; readonly r: number; readonly p: number; readonly salt: string }): Buffer =>
  scryptSync(passphrase.normalize('NFKC'), Buffer.from(salt, 'base64'), 32, { N: n, r, p, maxmem: 256 * n * r })

function toRecipient(recipient: KeyObject, fileKey: Buffer): Wrapped {
  const pair = generateKeyPairSync('x25519')
  const about = { recipient: rawPublic(recipient).toString('base64'), ephemeral: rawPublic(pair.publicKey).toString('base64') }
  return { kind: 'x25519', ...about, wrapped: wrap(agreed(pair.privateKey, recipient, about), fileKey) }
}

const agreed = (privateKey: KeyObject, publicKey: KeyObject, { recipient, ephemeral }: { readonly recipient: string; readonly ephemeral: string }): Buffer =>
  Buffer.from(hkdfSync('sha256', diffieHellman({ privateKey, publicKey }), Buffer.concat([Buffer.from(ephemeral, 'base64'), Buffer.from(recipient, 'base64')]), 'weft archive recipient', 32))

const rawPublic = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' }).subarray(X25519_SPKI.length)
const publicFrom = (raw: string): KeyObject => createPublicKey({ key: Buffer.concat([X25519_SPKI, Buffer.from(raw, 'base64')]), type: 'spki', format: 'der' })

function wrap(key: Buffer, fileKey: Buffer): string {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  return Buffer.concat([nonce, cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]).toString('base64')
}

function unwrap(key: Buffer, wrapped: string): Buffer | undefined {
  const bytes = Buffer.from(wrapped, 'base64')
  if (bytes.length !== 12 + FILE_KEY_BYTES + 16) return undefined
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12), { authTagLength: 16 })
  decipher.setAuthTag(bytes.subarray(bytes.length - 16))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(12, bytes.length - 16)), decipher.final()])
  } catch {
    // A tag that does not fit is all that is said of a wrong key.
    return undefined
  }
}
