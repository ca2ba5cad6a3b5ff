import type { RevisionDifference } from '#core/contract/rollback.ts'
import type { Impact, ImpactRequest } from '#core/contract/impact.ts'
import { describeFault, type Fault, Faults } from '#core/fault/fault.ts'
import { readDocuments } from '#core/resource/documents.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { parseObject } from '#core/resource/parse.ts'
import { apiVersionOf } from '#core/resource/registry.ts'
import { ApiError, callApi, meshPath } from '../client.ts'
import { contextOf, type Context } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { readFiles, type TextFile } from '../files.ts'
import { impactWords } from '../impact.ts'
import { unifiedDiff } from '../line-diff.ts'
import { targetNamed } from '../object-key.ts'
import { plainYaml } from '../plain-object.ts'
import { outputOf, readArgs, serverFlags, UsageError } from '../usage.ts'
import { objectPath } from './get.ts'

export const usage = `weft diff -f FILE|DIR|URL|- [-f …] [--impact] [-o text|json]
weft diff --revision N [KIND/NAME] [-n NAMESPACE]

With -f: from what is stored to what the files say. With --revision: from what was stored then to what is stored now, of the mesh or of one object.

  --impact   also which resources of which proxies would change, and which of the calls that the mesh has seen would be routed or authorised
             differently, with the object that decides; -o json gives that alone

Exit 0 when there is no difference, 1 when there is one.`

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(
    args,
    { ...serverFlags, filename: { type: 'string', short: 'f', multiple: true }, revision: { type: 'string' }, namespace: { type: 'string', short: 'n' }, impact: { type: 'boolean' }, output: { type: 'string', short: 'o' } },
    { min: 0, max: 2 },
  )
  if ((values.filename === undefined) === (values.revision === undefined)) throw new UsageError('-f or --revision says with what to compare')
  if (values.filename !== undefined && positionals.length > 0) throw new UsageError(`unexpected argument ${JSON.stringify(positionals[0])}: -f names files`)
  if (values.impact && values.filename === undefined) throw new UsageError('--impact goes with -f')
  const output = outputOf(values.output, ['text', 'json'])
  if (output === 'json' && !values.impact) throw new UsageError('-o json goes with --impact')
  const context = contextOf(values)
  if (values.impact && values.filename !== undefined) return impactOf(context, values.filename, output)
  const key = positionals.length === 0 ? undefined : targetNamed(positionals, values.namespace).key
  const text = values.filename === undefined ? await sinceRevision(context, values.revision ?? '', key) : await ofFiles(context, await readFiles(values.filename))
  process.stdout.write(text)
  return text === '' ? exitCodes.done : exitCodes.failed
}

async function impactOf(context: Context, sources: readonly string[], output: 'text' | 'json'): Promise<ExitCode> {
  const files = await readFiles(sources)
  const request: ImpactRequest = { files }
  const impact = await callApi<Impact>(context, 'POST', meshPath(context, '/impact'), request)
  for (const one of impact.warnings as Fault[]) process.stderr.write(`warning: ${one.resource === undefined ? '' : `${one.resource}: `}${describeFault(one)}\n`)
  const isSame = impact.objects.every(({ verdict }) => verdict === 'unchanged' || verdict === 'absent' || verdict === 'skipped')
  if (output === 'json') process.stdout.write(`${JSON.stringify(impact, undefined, 2)}\n`)
  else {
    const text = await ofFiles(context, files)
    process.stdout.write(`${text === '' ? '' : `${text}\n`}${impactWords(impact)}`)
  }
  return isSame ? exitCodes.done : exitCodes.failed
}

async function sinceRevision(context: Context, revision: string, key: ReturnType<typeof targetNamed>['key'] | undefined): Promise<string> {
  if (!/^\d+$/.test(revision)) throw new UsageError(`--revision: ${JSON.stringify(revision)} is not a number`)
  const all = await callApi<{ items: RevisionDifference[] }>(context, 'GET', meshPath(context, `/revisions/${revision}/differences`))
  const items = all.items.filter((one) => key === undefined || (one.group === key.group && one.kind === key.kind && one.namespace === key.namespace && one.name === key.name))
  const yaml = (object: RevisionDifference['before']): string => (object === null ? '' : plainYaml(object as ResourceObject))
  return items
    .map((one) => {
      const name = `${one.kind}/${one.namespace === '' ? '' : `${one.namespace}/`}${one.name}`
      return unifiedDiff(yaml(one.before), yaml(one.after), { before: `${name} (revision ${revision})`, after: `${name} (now)` })
    })
    .join('')
}

async function ofFiles(context: Context, files: readonly TextFile[]): Promise<string> {
  let text = ''
  for (const file of files) {
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
