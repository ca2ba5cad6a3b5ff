import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { ask } from '#api/simulate/ask.ts'
import { differences } from '#api/simulate/expect.ts'
import { type AnyRow, judgeRows } from '#api/simulate/recorded-rows.ts'
import type { RecordedConfig } from '#api/simulate/recorded-world.ts'
import type { Trail } from '#core/explain/trail.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { configBeside, offlineMesh, readRequestsFile } from '../offline.ts'
import { readArgs, UsageError } from '../usage.ts'

export const usage = `weft test PATH… [--engine weft|envoy] [-o table|jsonl|junit]

Asks the configuration what becomes of requests, and compares with what must. PATH is a requests.yaml, a folder with such files below it
(requests.yaml or NAME.requests.yaml), or ROWS.jsonl: recorded calls, with their worlds in ROWS-configs.jsonl beside it.
Without --engine the answer comes from the pure router, and nothing is started.

Exit 0 when everything is as expected, 79 when something is not.`

/** One expectation and what came of it. */
interface Outcome {
  readonly file: string
  readonly name: string
  readonly pass: boolean
  readonly why: string
  readonly got: unknown
  /** A recorded case's own form. */
  readonly row?: unknown
}

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(args, { engine: { type: 'string' }, output: { type: 'string', short: 'o' } }, { min: 1, max: 10_000 })
  const format = values.output ?? 'table'
  if (!['table', 'jsonl', 'junit'].includes(format)) throw new UsageError('-o is table, jsonl or junit')
  if (values.engine !== undefined) throw new UsageError(`--engine ${values.engine}: requests are not yet played through live proxies; leave it out to ask the router`)
  const all: Outcome[] = []
  for (const file of positionals.flatMap(testFilesOf)) {
    for await (const outcome of file.endsWith('.jsonl') ? recorded(file) : written(file)) {
      all.push(outcome)
      if (format === 'jsonl') process.stdout.write(`${JSON.stringify(outcome.row ?? { file: outcome.file, name: outcome.name, pass: outcome.pass, got: outcome.got, why: outcome.why })}\n`)
      if (format === 'table') process.stdout.write(`${outcome.pass ? 'pass' : 'FAIL'}  ${outcome.name}${outcome.pass ? '' : `\n      ${outcome.file}: ${outcome.why}`}\n`)
    }
  }
  const failed = all.filter((one) => !one.pass).length
  if (format === 'junit') process.stdout.write(junitOf(all))
  process.stderr.write(`${all.length - failed} of ${all.length} as expected\n`)
  return failed === 0 ? exitCodes.done : exitCodes.findings
}

const isTestFile = (name: string): boolean => /(^|\.)requests\.ya?ml$/.test(name)

function testFilesOf(given: string): string[] {
  if (!existsSync(given)) throw new UsageError(`there is no ${given}`)
  if (!statSync(given).isDirectory()) return [given]
  const found = readdirSync(given, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && isTestFile(entry.name))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort()
  if (found.length === 0) throw new UsageError(`there is no requests.yaml in ${given}`)
  return found
}

async function* written(file: string): AsyncGenerator<Outcome> {
  const about = readRequestsFile({ name: file, text: readFileSync(file, 'utf8') })
  const { world } = await offlineMesh(configBeside(file, about), about)
  for (const { name, from, request, expect } of about.tests ?? []) {
    let got: Trail
    try {
      got = ask(world, { from, ...request })
    } catch (error) {
      yield { file, name, pass: false, why: error instanceof Error ? error.message : String(error), got: undefined }
      continue
    }
    const wrong = differences(expect, got)
    yield { file, name, pass: wrong.length === 0, why: wrong.length === 0 ? got.why : `${wrong.join('; ')} (${got.why})`, got: { outcome: got.outcome, status: got.status, by: got.by, to: got.to } }
  }
}

const linesOf = <T>(file: string): T[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as T)

async function* recorded(file: string): AsyncGenerator<Outcome> {
  const beside = file.replace(/\.jsonl$/, '-configs.jsonl')
  if (!existsSync(beside)) throw new UsageError(`${file} tells calls, and ${beside}, which should tell their worlds, is not there`)
  for (const row of judgeRows(linesOf<AnyRow>(file), linesOf<RecordedConfig>(beside))) yield { file, name: row.id, pass: row.pass, why: row.why, got: row.got, row }
}

const escaped = (text: string): string => text.replace(/[<>&"']/g, (one) => `&#${one.charCodeAt(0)};`)

function junitOf(all: readonly Outcome[]): string {
  const suites = [...new Set(all.map((one) => one.file))].map((file) => {
    const of = all.filter((one) => one.file === file)
    const cases = of.map((one) => (one.pass ? `    <testcase name="${escaped(one.name)}"/>\n` : `    <testcase name="${escaped(one.name)}">\n      <failure message="${escaped(one.why)}"/>\n    </testcase>\n`))
    return `  <testsuite name="${escaped(file)}" tests="${of.length}" failures="${of.filter((one) => !one.pass).length}">\n${cases.join('')}  </testsuite>\n`
  })
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join('')}</testsuites>\n`
}
