import type { RevisionDifference } from '#core/contract/rollback.ts'
import { Faults } from '#core/fault/fault.ts'
import { readDocuments } from '#core/resource/documents.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { parseObject } from '#core/resource/parse.ts'
import { apiVersionOf } from '#core/resource/registry.ts'
import { ApiError, callApi, meshPath } from '../client.ts'
import { contextOf, type Context } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { readFiles } from '../files.ts'
import { unifiedDiff } from '../line-diff.ts'
import { plainYaml } from '../plain-object.ts'
import { readArgs, serverFlags, UsageError } from '../usage.ts'
import { objectPath } from './get.ts'

export const usage = `weft diff -f FILE|DIR|URL|- [-f …] | --revision N

With -f: from what is stored to what the files say. With --revision: from what was stored then to what is stored now.
Exit 0 when there is no difference, 1 when there is one.`

export async function run(args: string[]): Promise<ExitCode> {
  const { values } = readArgs(args, { ...serverFlags, filename: { type: 'string', short: 'f', multiple: true }, revision: { type: 'string' } }, { min: 0, max: 0 })
  if ((values.filename === undefined) === (values.revision === undefined)) throw new UsageError('-f or --revision says with what to compare')
  const context = contextOf(values)
  const text = values.filename === undefined ? await sinceRevision(context, values.revision ?? '') : await ofFiles(context, values.filename)
  process.stdout.write(text)
  return text === '' ? exitCodes.done : exitCodes.failed
}

async function sinceRevision(context: Context, revision: string): Promise<string> {
  if (!/^\d+$/.test(revision)) throw new UsageError(`--revision: ${JSON.stringify(revision)} is not a number`)
  const { items } = await callApi<{ items: RevisionDifference[] }>(context, 'GET', meshPath(context, `/revisions/${revision}/differences`))
  const yaml = (object: RevisionDifference['before']): string => (object === null ? '' : plainYaml(object as ResourceObject))
  return items
    .map((one) => {
      const name = `${one.kind}/${one.namespace === '' ? '' : `${one.namespace}/`}${one.name}`
      return unifiedDiff(yaml(one.before), yaml(one.after), { before: `${name} (revision ${revision})`, after: `${name} (now)` })
    })
    .join('')
}

async function ofFiles(context: Context, sources: readonly string[]): Promise<string> {
  let text = ''
  for (const file of await readFiles(sources)) {
    const read = readDocuments(file.text, file.name)
    if (read.faults.length > 0) throw new Faults(read.faults)
    for (const document of read.documents) {
      const parsed = parseObject(document.value, { defaultNamespace: 'default' })
      if (parsed.object === undefined) {
        if (parsed.skipped) continue
        throw new Faults(parsed.faults)
      }
      const { object, kind } = parsed
      const wanted = { ...object, apiVersion: apiVersionOf(kind) }
      const stored = await callApi<ResourceObject>(context, 'GET', objectPath(context, kind, object.metadata.namespace, object.metadata.name)).catch((error: unknown) => {
        if (error instanceof ApiError && error.problem.status === 404) return undefined
        throw error
      })
      const name = `${kind.kind}/${object.metadata.namespace ? `${object.metadata.namespace}/` : ''}${object.metadata.name}`
      text += unifiedDiff(stored === undefined ? '' : plainYaml(stored), plainYaml(wanted), { before: `${name} (stored)`, after: `${name} (${file.name})` })
    }
  }
  return text
}
