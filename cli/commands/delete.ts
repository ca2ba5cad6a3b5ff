import { Faults } from '#core/fault/fault.ts'
import type { ResourceKind } from '#core/resource/kind.ts'
import { parseObject } from '#core/resource/parse.ts'
import { readDocuments } from '#core/resource/documents.ts'
import { ApiError, callApi } from '../client.ts'
import { contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { readFiles } from '../files.ts'
import { readTargets } from '../kinds.ts'
import { readArgs, serverFlags, UsageError } from '../usage.ts'
import { nameOf, objectPath } from './get.ts'

export const usage = `weft delete KIND NAME… | KIND/NAME… | -f FILE|DIR|- [-n NAMESPACE] [--ignore-not-found]

Deletes what is named, or what the files name. Exit 4 when one of them was not there, unless --ignore-not-found.`

interface Target {
  readonly kind: ResourceKind
  readonly namespace: string
  readonly name: string
}

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(
    args,
    { ...serverFlags, namespace: { type: 'string', short: 'n' }, filename: { type: 'string', short: 'f', multiple: true }, 'ignore-not-found': { type: 'boolean' } },
    { min: 0, max: 1000 },
  )
  const context = contextOf(values)
  const namespace = values.namespace ?? 'default'
  const targets = values.filename ? await targetsOfFiles(values.filename, namespace) : targetsOfWords(positionals, namespace)
  let code: ExitCode = exitCodes.done
  for (const target of targets) {
    try {
      await callApi(context, 'DELETE', objectPath(context, target.kind, target.namespace, target.name))
      process.stdout.write(`${nameOf(target.kind)}/${target.name} deleted\n`)
    } catch (error) {
      if (!(error instanceof ApiError) || error.problem.status !== 404) throw error
      if (values['ignore-not-found']) continue
      process.stderr.write(`${nameOf(target.kind)}/${target.name} is not there\n`)
      code = exitCodes.notFound
    }
  }
  return code
}

function targetsOfWords(words: readonly string[], namespace: string): Target[] {
  const targets = readTargets(words).flatMap(({ kind, names }) => names.map((name) => ({ kind, namespace, name })))
  if (targets.length === 0) throw new UsageError('name what to delete')
  return targets
}

async function targetsOfFiles(sources: readonly string[], namespace: string): Promise<Target[]> {
  const targets: Target[] = []
  for (const file of await readFiles(sources)) {
    const read = readDocuments(file.text, file.name)
    if (read.faults.length > 0) throw new Faults(read.faults)
    for (const document of read.documents) {
      const { object, kind } = parseObject(document.value, { defaultNamespace: namespace })
      if (object && kind) targets.push({ kind, namespace: object.metadata.namespace ?? '', name: object.metadata.name })
    }
  }
  return targets
}
