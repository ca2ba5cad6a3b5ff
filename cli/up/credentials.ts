import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/** The key that seals secrets at rest: from WEFT_SEAL_KEY (base64, 32 bytes), else made once and kept in the data folder. */
export function sealKeyOf(dataDir: string): Buffer {
  const given = process.env['WEFT_SEAL_KEY']
  if (given !== undefined) {
    const key = Buffer.from(given, 'base64')
    if (key.length !== 32) throw new Error('WEFT_SEAL_KEY must be 32 bytes, base64')
    return key
  }
  return Buffer.from(keptFile(path.join(dataDir, 'seal.key'), () => randomBytes(32).toString('base64')), 'base64')
}

/** The content of a file that only its owner may read, made the first time. */
function keptFile(file: string, make: () => string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    const content = make()
    writeFileSync(file, content, { mode: 0o600 })
    return content
  }
}

/** The API key of an earlier start on this folder; undefined at the first. */
export function storedApiKey(dataDir: string): string | undefined {
  try {
    return readFileSync(path.join(dataDir, 'api-key'), 'utf8').trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return undefined
  }
}

export const storeApiKey = (dataDir: string, key: string): void => writeFileSync(path.join(dataDir, 'api-key'), key, { mode: 0o600 })
