import { createWriteStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream as NodeReadableStream } from 'node:stream/web'
import type { ArchiveRequest } from '#core/contract/archive.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { type ArchiveLock, newFileKey } from '../archive/file-key.ts'
import { lockFlags, lockOf } from '../archive/lock-flags.ts'
import { askApi, callApi, meshPath } from '../client.ts'
import { type Context, contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { plainYaml } from '../plain-object.ts'
import { readArgs, serverFlags, UsageError } from '../usage.ts'

export const usage = `weft export DIR
weft export --sealed FILE [--passphrase-file FILE | --recipient PUBLIC.pem]

Writes every object of the mesh as YAML: DIR/NAMESPACE/KIND.GROUP/NAME.yaml, and DIR/_mesh/… for those without a namespace. DIR must be empty or not there.
Secrets are left out: their values leave the server for proxies alone.

  --sealed FILE            one archive with the mesh's root key, its Secrets and settings too, which nobody reads without the passphrase or private key;
                           for owners. History, members, keys and tokens are not in it, nor workloads, which bring themselves in. FILE must not be there
  --passphrase-file FILE   holds the passphrase; WEFT_PASSPHRASE, or a question, without it
  --recipient PUBLIC.pem   to whoever has the private key: openssl genpkey -algorithm x25519`

const PAGE = 500

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(args, { ...serverFlags, ...lockFlags, sealed: { type: 'string' } }, { min: 0, max: 1 })
  const [dir] = positionals
  if ((dir === undefined) === (values.sealed === undefined)) throw new UsageError('a folder, or --sealed FILE; see --help')
  if (values.sealed !== undefined) return exportSealed(contextOf(values), values.sealed, await lockOf(values))
  if (dir === undefined || values.recipient !== undefined || values['passphrase-file'] !== undefined) throw new UsageError('--recipient and --passphrase-file go with --sealed')
  mkdirSync(dir, { recursive: true })
  if (readdirSync(dir).some((name) => !name.startsWith('.'))) throw new UsageError(`${dir} is not empty`)
  const context = contextOf(values)
  let secrets = 0
  let written = 0
  let cursor: string | null = null
  do {
    const query = new URLSearchParams({ limit: String(PAGE), ...(cursor === null ? {} : { cursor }) })
    const found: { items: ResourceObject[]; next: string | null } = await callApi(context, 'GET', meshPath(context, `/resources?${query.toString()}`))
    for (const object of found.items) {
      if (object.kind === 'Secret') secrets += 1
      else {
        const file = path.join(dir, ...placeOf(object))
        mkdirSync(path.dirname(file), { recursive: true })
        writeFileSync(file, plainYaml(object))
        written += 1
      }
    }
    cursor = found.next
  } while (cursor !== null)
  process.stderr.write(`${written} objects written${secrets === 0 ? '' : `; ${secrets} ${secrets === 1 ? 'secret' : 'secrets'} left out`}\n`)
  return exitCodes.done
}

async function exportSealed(context: Context, file: string, lock: ArchiveLock): Promise<ExitCode> {
  if (existsSync(file)) throw new UsageError(`${file} is there already`)
  const { header, fileKey } = newFileKey(lock)
  const request: ArchiveRequest = { header, key: fileKey.toString('base64') }
  const response = await askApi(context, 'POST', meshPath(context, '/archive'), request)
  if (response.body === null) throw new Error('the server answered no archive')
  // Complete or not there: a name that is taken stands for a whole archive.
  const partial = `${file}.partial`
  try {
    await pipeline(Readable.fromWeb(response.body as NodeReadableStream), createWriteStream(partial, { mode: 0o600 }))
    renameSync(partial, file)
  } catch (error) {
    rmSync(partial, { force: true })
    throw error
  }
  process.stderr.write(`${file} written: ${statSync(file).size} bytes, sealed ${lock.kind === 'passphrase' ? 'with the passphrase' : 'to the recipient'}\n`)
  return exitCodes.done
}

/** Names of objects are DNS names, and so are those of files. Namespaces come first in the order of files, as they must when applied apart. */
function placeOf({ apiVersion, kind, metadata }: ResourceObject): string[] {
  const group = apiVersion.includes('/') ? `.${apiVersion.slice(0, apiVersion.indexOf('/'))}` : ''
  return [metadata.namespace === undefined || metadata.namespace === '' ? '_mesh' : metadata.namespace, `${kind.toLowerCase()}${group}`, `${metadata.name}.yaml`]
}
