import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import type { RestoreRequest, RestoreResponse } from '#core/contract/archive.ts'
import { isArchive, openFileKey, readArchiveHeader, WrongArchiveKey } from '../archive/file-key.ts'
import { openerFlags, openerOf } from '../archive/lock-flags.ts'
import { callApi } from '../client.ts'
import { contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { outputOf, readArgs, serverFlags, UsageError } from '../usage.ts'
import { run as apply } from './apply.ts'

export const usage = `weft import DIR [--dry-run] [--message TEXT]
weft import FILE [--passphrase-file FILE | --identity PRIVATE.pem] [--message TEXT] [-o text|json]

Stores all that was exported into DIR, in one transaction. Objects that are not in DIR stay.

FILE is a sealed archive: it becomes the mesh of --mesh, which must not be there yet, or have neither objects nor workloads. With the archive comes its root, so
that proxies of the old mesh trust the new one and are known to it; only beside a mesh with the same root it gets another.

  --passphrase-file FILE    holds the passphrase; WEFT_PASSPHRASE, or a question, without it
  --identity PRIVATE.pem    the private key of the recipient

Exit 3 when the passphrase or private key is not the archive's.`

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(
    args,
    { ...serverFlags, ...openerFlags, 'dry-run': { type: 'boolean' }, wait: { type: 'string' }, message: { type: 'string' }, output: { type: 'string', short: 'o' } },
    { min: 1, max: 1 },
  )
  const [from = ''] = positionals
  if (!beginsAsArchive(from)) {
    if (values.identity !== undefined || values['passphrase-file'] !== undefined) throw new UsageError(`${from} is no sealed archive`)
    return apply(['-f', from, '--message', 'import', ...args.filter((arg) => arg !== from)])
  }
  if (values['dry-run']) throw new UsageError('a sealed archive has no --dry-run: it is imported whole or not at all')
  const output = outputOf(values.output, ['text', 'json'])
  const context = contextOf(values)
  const archive = readFileSync(from)
  try {
    const fileKey = openFileKey(readArchiveHeader(archive), await openerOf(values))
    const request: RestoreRequest = { mesh: context.mesh, archive: archive.toString('base64'), key: fileKey.toString('base64'), ...(values.message === undefined ? {} : { message: values.message }) }
    const restored = await callApi<RestoreResponse>(context, 'POST', `/api/v1/organizations/${encodeURIComponent(context.organization)}/archives`, request)
    process.stdout.write(output === 'json' ? `${JSON.stringify(restored, undefined, 2)}\n` : wordsOf(restored))
    return exitCodes.done
  } catch (error) {
    if (!(error instanceof WrongArchiveKey)) throw error
    process.stderr.write(`weft import: ${from}: ${error.message}\n`)
    return exitCodes.notAuthorised
  }
}

function wordsOf({ mesh, root, revision, objects, secrets, from }: RestoreResponse): string {
  const trust = root === 'archived' ? 'with its root: proxies that trusted it go on' : 'with a root of its own, for a mesh with the archive’s root is here: its proxies join anew'
  return `${mesh} is ${from.mesh} as of revision ${from.revision} (${from.exportedAt}), ${trust}\n${objects} objects, ${secrets} of them Secrets\nrevision ${revision}\n`
}

function beginsAsArchive(file: string): boolean {
  if (!statSync(file).isFile()) return false
  const opened = openSync(file, 'r')
  try {
    const start = Buffer.alloc(8)
    readSync(opened, start, 0, start.length, 0)
    return isArchive(start)
  } finally {
    closeSync(opened)
  }
}
