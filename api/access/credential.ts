import { createHash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** Secrets that people handle: `weft_key_` opens the API, `weft_join_` lets a proxy into a mesh, `weft_invite_` a person into an organization. The prefix lets scanners of repositories find them. */
export type CredentialKind = 'key' | 'join' | 'invite'

/** 32 random bytes and a CRC-32 over them, both base64url: whoever finds a string can tell a credential from noise without asking, and a mistyped one needs no lookup. */
const FORM = /^weft_(key|join|invite)_([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{6})$/

/** `secret` is shown once; only `hash` is stored. */
export function makeCredential(kind: CredentialKind): { secret: string; hash: string } {
  const body = randomBytes(32).toString('base64url')
  const secret = `weft_${kind}_${body}${checksum(body)}`
  return { secret, hash: sha256(secret) }
}

/**
 * The hash under which the store knows a secret: SHA-256, hex. A slow hash would add nothing: there are 2^256 secrets to try.
 * Undefined for what is no credential of this kind.
 */
export function hashCredential(kind: CredentialKind, secret: string): string | undefined {
  const [, saidKind, body, sum] = FORM.exec(secret) ?? []
  return saidKind === kind && body !== undefined && sum === checksum(body) ? sha256(secret) : undefined
}

function checksum(body: string): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(body))
  return bytes.toString('base64url')
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
