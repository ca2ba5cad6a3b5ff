import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

/** A first byte, so that another cipher may follow. */
const form = 1
const nonceBytes = 12
const tagBytes = 16

/**
 * AES-256-GCM: form, nonce, ciphertext, tag.
 * @param key 32 bytes
 * @param context is not kept, and must be the same on opening
 */
export function seal(key: Uint8Array, plaintext: Uint8Array, context: Uint8Array): Buffer {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
  cipher.setAAD(context)
  return Buffer.concat([Buffer.of(form), nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

/** @throws Error when key, context or a single bit is another */
export function unseal(key: Uint8Array, sealed: Uint8Array, context: Uint8Array): Buffer {
  if (sealed[0] !== form || sealed.length < 1 + nonceBytes + tagBytes) throw new Error('this is not a sealed value of a known form')
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 1 + nonceBytes), { authTagLength: tagBytes })
  decipher.setAAD(context)
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes))
  return Buffer.concat([decipher.update(sealed.subarray(1 + nonceBytes, sealed.length - tagBytes)), decipher.final()])
}
