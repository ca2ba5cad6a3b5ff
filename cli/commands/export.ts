import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { ResourceObject } from '#core/resource/object.ts'
import { callApi, meshPath } from '../client.ts'
import { contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { plainYaml } from '../plain-object.ts'
import { readArgs, serverFlags, UsageError } from '../usage.ts'

export const usage = `weft export DIR

Writes every object of the mesh as YAML: DIR/NAMESPACE/KIND.GROUP/NAME.yaml, and DIR/_mesh/… for those without a namespace. DIR must be empty or not there.
Secrets are left out: their values leave the server for proxies alone.`

const PAGE = 500

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(args, serverFlags, { min: 1, max: 1 })
  const [dir = ''] = positionals
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

/** Names of objects are DNS names, and so are those of files. Namespaces come first in the order of files, as they must when applied apart. */
function placeOf({ apiVersion, kind, metadata }: ResourceObject): string[] {
  const group = apiVersion.includes('/') ? `.${apiVersion.slice(0, apiVersion.indexOf('/'))}` : ''
  return [metadata.namespace === undefined || metadata.namespace === '' ? '_mesh' : metadata.namespace, `${kind.toLowerCase()}${group}`, `${metadata.name}.yaml`]
}
