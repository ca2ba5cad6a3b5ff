import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { UsageError } from '../usage.ts'
import { type ArchiveLock, type ArchiveOpener, identityOf, recipientOf } from './file-key.ts'

export const lockFlags = { 'passphrase-file': { type: 'string' }, recipient: { type: 'string' } } as const
export const openerFlags = { 'passphrase-file': { type: 'string' }, identity: { type: 'string' } } as const

export async function lockOf(flags: { readonly 'passphrase-file'?: string | undefined; readonly recipient?: string | undefined }): Promise<ArchiveLock> {
  if (flags.recipient !== undefined && flags['passphrase-file'] !== undefined) throw new UsageError('--recipient or --passphrase-file, not both')
  if (flags.recipient !== undefined) return { kind: 'recipient', key: keyIn('recipient', flags.recipient, recipientOf) }
  return { kind: 'passphrase', passphrase: await passphraseOf(flags['passphrase-file'], true) }
}

export async function openerOf(flags: { readonly 'passphrase-file'?: string | undefined; readonly identity?: string | undefined }): Promise<ArchiveOpener> {
  if (flags.identity !== undefined && flags['passphrase-file'] !== undefined) throw new UsageError('--identity or --passphrase-file, not both')
  if (flags.identity !== undefined) return { kind: 'identity', key: keyIn('identity', flags.identity, identityOf) }
  return { kind: 'passphrase', passphrase: await passphraseOf(flags['passphrase-file'], false) }
}

function keyIn<T>(flag: string, file: string, read: (pem: string) => T): T {
  const pem = readFileSync(file, 'utf8')
  try {
    return read(pem)
  } catch (error) {
    throw new UsageError(`--${flag}: ${file}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** From the file, from WEFT_PASSPHRASE, or asked for where someone can answer; never an argument, which others on the machine could read. */
async function passphraseOf(file: string | undefined, isNew: boolean): Promise<string> {
  const given = file === undefined ? process.env['WEFT_PASSPHRASE'] : readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  const passphrase = given ?? (process.stdin.isTTY ? await askHidden('passphrase: ') : undefined)
  if (passphrase === undefined || passphrase === '') throw new UsageError('a passphrase is missing: --passphrase-file FILE or WEFT_PASSPHRASE')
  if (given === undefined && isNew && (await askHidden('the same again: ')) !== passphrase) throw new UsageError('the two are not the same')
  return passphrase
}

function askHidden(words: string): Promise<string> {
  process.stderr.write(words)
  const mute = new Writable({ write: (_chunk, _encoding, done) => done() })
  const line = createInterface({ input: process.stdin, output: mute, terminal: true })
  return new Promise((resolve) => {
    line.question('', (answer) => {
      line.close()
      process.stderr.write('\n')
      resolve(answer)
    })
  })
}
