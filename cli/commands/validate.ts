import { describeFault, type Fault } from '#core/fault/fault.ts'
import { patchFindings } from '#api/translate/patch/check-patches.ts'
import type { EnvoyFilterSpec } from '#core/resource/envoy-filter.ts'
import { objectName } from '#core/resource/object.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { parseObject } from '#core/resource/parse.ts'
import { readDocuments } from '#core/resource/documents.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { readFiles } from '../files.ts'
import { readArgs, UsageError } from '../usage.ts'

export const usage = `weft validate -f FILE|DIR|URL|- [-f …] [-o table|jsonl]

Checks files without a server. With -o jsonl, a line a document: file, document, kind, namespace, name, verdict (accept, warn, reject), findings.
Exit 0 when nothing is rejected, 79 otherwise.`

interface Verdict {
  readonly file: string
  readonly document: number
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly verdict: 'accept' | 'warn' | 'reject'
  readonly findings: readonly Fault[]
}

export async function run(args: string[]): Promise<ExitCode> {
  const { values } = readArgs(args, { filename: { type: 'string', short: 'f', multiple: true }, output: { type: 'string', short: 'o' } }, { min: 0, max: 0 })
  if (!values.filename) throw new UsageError('-f says what to validate')
  let rejected = false
  for (const file of await readFiles(values.filename)) {
    for (const verdict of judge(file.name, file.text)) {
      rejected ||= verdict.verdict === 'reject'
      process.stdout.write(values.output === 'jsonl' ? `${JSON.stringify(verdict)}\n` : wordsOf(verdict))
    }
  }
  return rejected ? exitCodes.findings : exitCodes.done
}

/** Every document of a text, judged by itself; a text that cannot be read is one rejected document. */
export function judge(file: string, text: string): Verdict[] {
  const read = readDocuments(text, file)
  const unreadable: Verdict[] = read.faults.length === 0 ? [] : [{ file, document: 0, kind: '', namespace: '', name: '', verdict: 'reject', findings: read.faults }]
  const judged = read.documents.map((document, index): Verdict => {
    const { faults, object } = parseObject(document.value, { defaultNamespace: 'default' })
    const findings = [...faults, ...(object === undefined ? [] : valueFindings(object))].map((fault) => ({ ...fault, source: { file, line: document.lineOf(fault.path) } }))
    const verdict = findings.some((fault) => fault.severity === 'error') ? 'reject' : findings.length > 0 ? 'warn' : 'accept'
    return { file, document: index, ...nameOf(document.value), verdict, findings }
  })
  return [...unreadable, ...judged]
}

/** What an EnvoyFilter would have Envoy take, judged by Envoy's own messages: as a server does when it is applied. */
function valueFindings(object: ResourceObject): Fault[] {
  if (object.kind !== 'EnvoyFilter') return []
  return [...patchFindings({ id: objectName(object), spec: (object.spec ?? {}) as EnvoyFilterSpec })]
}

function nameOf(value: unknown): { kind: string; namespace: string; name: string } {
  const text = (from: unknown, key: string): string => {
    const found = typeof from === 'object' && from !== null ? (from as Record<string, unknown>)[key] : undefined
    return typeof found === 'string' ? found : ''
  }
  const metadata = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)['metadata'] : undefined
  return { kind: text(value, 'kind'), namespace: text(metadata, 'namespace'), name: text(metadata, 'name') }
}

function wordsOf(verdict: Verdict): string {
  const subject = `${verdict.kind || 'document'} ${verdict.namespace === '' ? '' : `${verdict.namespace}/`}${verdict.name || `#${verdict.document + 1}`}`
  const lines = verdict.findings.map((fault) => `  ${fault.severity}: ${fault.source ? `${fault.source.file}:${fault.source.line}: ` : ''}${describeFault(fault)}\n`)
  return `${subject}: ${verdict.verdict}\n${lines.join('')}`
}
