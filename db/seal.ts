import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'

/** Encrypts what must not lie in the database in the clear: AES-256-GCM (NIST SP 800-38D) with a fresh 96-bit nonce each time. */
export interface Seal {
  /** @param place what it belongs to; a sealed text opens at no other place, so rows cannot be exchanged */
  close(text: string, place: string): string
  /** @throws Error when it was sealed with another key, for another place, or altered */
  open(sealed: string, place: string): string
}

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** @param key 32 bytes */
export function openSeal(key: Uint8Array): Seal {
  if (key.length !== 32) throw new Error(`a sealing key has 32 bytes, not ${key.length}`)
  // Says which key is wanted, without saying anything about it.
  const name = createHash('sha256').update('weft seal ').update(key).digest('hex').slice(0, 8)
  return {
    close(text, place) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(place))
      const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return `v1.${name}.${Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64')}`
    },
    open(sealed, place) {
      const [version, usedName, body] = sealed.split('.')
      if (version !== 'v1' || body === undefined) throw new Error('not a sealed text')
      if (usedName !== name) throw new Error(`sealed with key ${usedName}, and this process was given key ${name}`)
      const bytes = Buffer.from(body, 'base64')
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
        .setAAD(Buffer.from(place))
        .setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES))
      try {
        return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]).toString('utf8')
      } catch (error) {
        throw new Error(`what is sealed at ${place} was altered, or belongs elsewhere`, { cause: error })
      }
    },
  }
}
