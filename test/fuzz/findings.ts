import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Inputs that once broke a reader, a file each, in base64: every run begins with them. */
const folder = join(import.meta.dirname, 'findings')
const SHRINK_TRIES = 400

export function findingsOf(target: string): Buffer[] {
  const here = join(folder, target)
  return existsSync(here) ? readdirSync(here).sort().map((file) => Buffer.from(readFileSync(join(here, file), 'utf8'), 'base64')) : []
}

/** Keeps an input that breaks a reader. @returns its file */
export function keepFinding(target: string, bytes: Buffer): string {
  const here = join(folder, target)
  mkdirSync(here, { recursive: true })
  const file = join(here, `${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}.txt`)
  writeFileSync(file, `${bytes.toString('base64')}\n`)
  return file
}

/** A shorter input that breaks it as well: parts are taken out, ever smaller ones. */
export function shrunk(bytes: Buffer, breaks: (bytes: Buffer) => boolean): Buffer {
  let best = bytes
  let tries = 0
  for (let size = best.length >> 1; size > 0 && tries < SHRINK_TRIES; size >>= 1) {
    for (let at = 0; at + size <= best.length && tries < SHRINK_TRIES; tries++) {
      const shorter = Buffer.concat([best.subarray(0, at), best.subarray(at + size)])
      if (breaks(shorter)) best = shorter
      else at += size
    }
  }
  return best
}
