import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parse } from 'yaml'
import type { ResourceObject } from '#core/resource/object.ts'
import { callApi } from '../client.ts'
import { contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { targetNamed } from '../object-key.ts'
import { plainYaml } from '../plain-object.ts'
import { readArgs, serverFlags } from '../usage.ts'
import { nameOf, objectPath } from './get.ts'

export const usage = `weft edit KIND/NAME [-n NAMESPACE]

Opens the object in $WEFT_EDITOR, $VISUAL or $EDITOR (vi unless set), and stores it when it was changed and nobody else changed it meanwhile (exit 5).`

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(args, { ...serverFlags, namespace: { type: 'string', short: 'n' } }, { min: 1, max: 2 })
  const context = contextOf(values)
  const { kind, key } = targetNamed(positionals, values.namespace)
  const url = objectPath(context, kind, key.namespace, key.name)
  const stored = await callApi<ResourceObject>(context, 'GET', url)
  const before = plainYaml(stored)
  const after = edited(before)
  if (after.trim() === '' || after === before) {
    process.stderr.write(`${nameOf(kind)}/${key.name} not changed\n`)
    return exitCodes.done
  }
  const wanted = parse(after) as ResourceObject
  await callApi(context, 'PUT', url, { ...wanted, metadata: { ...wanted.metadata, resourceVersion: stored.metadata.resourceVersion } })
  process.stdout.write(`${nameOf(kind)}/${key.name} edited\n`)
  return exitCodes.done
}

function edited(text: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'weft-edit-'))
  try {
    const file = path.join(folder, 'object.yaml')
    writeFileSync(file, text, { mode: 0o600 })
    const editor = process.env['WEFT_EDITOR'] ?? process.env['VISUAL'] ?? process.env['EDITOR'] ?? 'vi'
    // As git and kubectl have it: the variable may hold arguments.
    const { status, error } = spawnSync('sh', ['-c', `${editor} "$1"`, 'sh', file], { stdio: 'inherit' })
    if (error !== undefined) throw new Error(`${editor} cannot be run`, { cause: error })
    if (status !== 0) throw new Error(`${editor} ended with ${status}; nothing is stored`)
    return readFileSync(file, 'utf8')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
