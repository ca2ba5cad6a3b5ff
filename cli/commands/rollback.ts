import type { ApplyResponse } from '#core/contract/apply.ts'
import type { RollbackRequest } from '#core/contract/rollback.ts'
import { describeFault, type Fault } from '#core/fault/fault.ts'
import { callApi, meshPath } from '../client.ts'
import { contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { targetNamed } from '../object-key.ts'
import { readArgs, serverFlags, UsageError } from '../usage.ts'

export const usage = `weft rollback --to REVISION [KIND/NAME] [-n NAMESPACE] [--message TEXT] [--dry-run] [-o json]

Brings the whole mesh, or one object, back to what it was at the revision. That is a new revision, checked as any other; what was changed since can be brought back in the same way.`

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(
    args,
    { ...serverFlags, to: { type: 'string' }, namespace: { type: 'string', short: 'n' }, message: { type: 'string' }, 'dry-run': { type: 'boolean' }, output: { type: 'string', short: 'o' } },
    { min: 0, max: 2 },
  )
  if (!/^\d+$/.test(values.to ?? '')) throw new UsageError('--to names a revision; weft history lists them')
  const context = contextOf(values)
  const request: RollbackRequest = {
    revision: Number(values.to),
    ...(positionals.length === 0 ? {} : { object: { ...targetNamed(positionals, values.namespace).key } }),
    ...(values.message === undefined ? {} : { message: values.message }),
    ...(values['dry-run'] ? { dryRun: true } : {}),
  }
  const applied = await callApi<ApplyResponse>(context, 'POST', meshPath(context, '/rollback'), request)
  for (const one of applied.warnings as Fault[]) process.stderr.write(`warning: ${one.resource === undefined ? '' : `${one.resource}: `}${describeFault(one)}\n`)
  if (values.output === 'json') process.stdout.write(`${JSON.stringify(applied, undefined, 2)}\n`)
  else {
    for (const result of applied.results) process.stdout.write(`${result.name} ${result.verdict}${values['dry-run'] ? ' (dry run)' : ''}\n`)
    process.stdout.write(`revision ${applied.revision}\n`)
  }
  return exitCodes.done
}
