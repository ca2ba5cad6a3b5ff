import type { ApplyRequest, ApplyResponse, WaitResponse } from '#core/contract/apply.ts'
import { describeFault, type Fault } from '#core/fault/fault.ts'
import { ApiError, callApi, meshPath } from '../client.ts'
import { contextOf, type Context } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { readFiles } from '../files.ts'
import { durationMs, outputOf, readArgs, serverFlags, UsageError } from '../usage.ts'

export const usage = `weft apply -f FILE|DIR|URL|- [-f …] [--wait[=30s]] [--dry-run] [--message TEXT] [--prune -l KEY=VALUE[,…]] [-o name|json]

Stores all objects in one transaction, or none. With --wait, returns when every concerned proxy has acknowledged (exit 0), one has refused (1) or the time is over (6).

  -f, --filename     a file, a folder with all that lies below it, a URL, or - for standard input; may be repeated
  --wait[=30s]       until the proxies carry it out
  --dry-run          judge it all and store nothing
  --message TEXT     why: stands in the history
  --prune -l K=V     delete what bears these labels and is not among the files
  -o json            the answer as the server gave it, with its warnings`

export async function run(args: string[]): Promise<ExitCode> {
  // `--wait` alone means 30 s: parseArgs knows no optional values.
  const { values } = readArgs(
    args.map((arg) => (arg === '--wait' ? '--wait=30s' : arg)),
    {
      ...serverFlags,
      filename: { type: 'string', short: 'f', multiple: true },
      wait: { type: 'string' },
      'dry-run': { type: 'boolean' },
      message: { type: 'string' },
      prune: { type: 'boolean' },
      selector: { type: 'string', short: 'l' },
      output: { type: 'string', short: 'o' },
    },
    { min: 0, max: 0 },
  )
  if (!values.filename) throw new UsageError('-f says what to apply')
  if (values.prune && !values.selector) throw new UsageError('--prune needs -l, so that it deletes only what is yours')
  const output = outputOf(values.output, ['name', 'json'])
  const waitMs = values.wait === undefined ? undefined : durationMs(values.wait, 'wait')
  const context = contextOf(values)
  const request: ApplyRequest = {
    files: await readFiles(values.filename),
    ...(values.message === undefined ? {} : { message: values.message }),
    ...(values['dry-run'] ? { dryRun: true } : {}),
    ...(values.prune && values.selector ? { prune: { labels: labelsOf(values.selector) } } : {}),
  }
  const applied = await callApi<ApplyResponse>(context, 'POST', meshPath(context, '/apply'), request)
  for (const one of applied.warnings as Fault[]) process.stderr.write(`warning: ${placeOf(one)}${describeFault(one)}\n`)
  if (output === 'json') process.stdout.write(`${JSON.stringify(applied, undefined, 2)}\n`)
  else for (const result of applied.results) process.stdout.write(`${result.name} ${result.verdict}${values['dry-run'] ? ' (dry run)' : ''}\n`)
  if (output !== 'json') process.stdout.write(`revision ${applied.revision}\n`)
  return waitMs === undefined || values['dry-run'] ? exitCodes.done : waitFor(context, applied.revision, waitMs)
}

const placeOf = (one: Fault): string => (one.source ? `${one.source.file}:${one.source.line}: ` : one.resource ? `${one.resource}: ` : '')

function labelsOf(selector: string): Record<string, string> {
  return Object.fromEntries(
    selector.split(',').map((term) => {
      const [key, value, ...rest] = term.split('=')
      if (!key || value === undefined || rest.length > 0) throw new UsageError(`-l: ${JSON.stringify(term)} is not KEY=VALUE`)
      return [key, value]
    }),
  )
}

async function waitFor(context: Context, revision: number, timeoutMs: number): Promise<ExitCode> {
  const outcome = await waitOutcome(context, revision, timeoutMs)
  for (const one of outcome.rejected) {
    process.stderr.write(`rejected by ${one.proxy}: ${one.message}\n  resources: ${one.resources.join(', ')}\n  from: ${one.origins.join(', ')}\n`)
  }
  if (outcome.rejected.length > 0) return exitCodes.failed
  const times = outcome.p99Ms === null ? '' : ` (p50 ${Math.round(outcome.p50Ms ?? 0)} ms, p99 ${Math.round(outcome.p99Ms)} ms)`
  process.stderr.write(`acknowledged by ${outcome.acknowledged} ${outcome.acknowledged === 1 ? 'proxy' : 'proxies'}${times}\n`)
  if (outcome.stragglers.length === 0) return exitCodes.done
  process.stderr.write(`not acknowledged in time by ${outcome.stragglers.join(', ')}\n`)
  return exitCodes.timedOut
}

async function waitOutcome(context: Context, revision: number, timeoutMs: number): Promise<WaitResponse> {
  try {
    return await callApi<WaitResponse>(context, 'GET', meshPath(context, `/revisions/${revision}/wait?timeout=${timeoutMs}ms`))
  } catch (error) {
    // A timeout answers 504 with the same body, so that the stragglers have names.
    if (error instanceof ApiError && error.problem.status === 504) return error.problem as unknown as WaitResponse
    throw error
  }
}
