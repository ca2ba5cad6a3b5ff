import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { type AnyRow, judgeRows } from '#api/simulate/recorded-rows.ts'
import type { RecordedConfig } from '#api/simulate/recorded-world.ts'
import type { RequestsFile } from '#core/contract/requests-file.ts'
import type { Trail } from '#core/explain/trail.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import type { Script } from '../engines/play.ts'
import { sentence, stepLines } from '../explain-words.ts'
import { configBeside, expectationLines, offlineMesh, readConfiguration, readRequestsFile } from '../offline.ts'
import { asked } from '../question.ts'
import { routerDifferences } from '../router-differences.ts'
import { makeTokens } from '../tokens.ts'
import { readArgs, UsageError } from '../usage.ts'

export const usage = `weft test PATH… [--engine weft|envoy [--envoy-version VERSION]] [-o table|jsonl|junit]

Asks the configuration what becomes of requests, and compares with what must. PATH is a requests.yaml, a folder with such files below it
(requests.yaml or NAME.requests.yaml), or ROWS.jsonl: recorded calls, with their worlds in ROWS-configs.jsonl beside it.
Without --engine the answer comes from the pure router, and nothing is started. With it each file's workloads get small applications and real proxies
on loopback, or on hosts of their own where traffic must be captured, and the requests are sent; what live proxies cannot show is skipped with its reason.

With each that is not, the line that expects it, every rule that was tried and the one that decided, by file and line; weft explain --test says the same of any.

Exit 0 when everything is as expected, 79 when something is not.`

/** One expectation and what came of it. */
interface Outcome {
  readonly file: string
  /** Where it is expected, in its file. */
  readonly line?: number
  readonly name: string
  readonly pass: boolean
  /** Not judged: `why` says for what reason. */
  readonly skipped?: boolean
  readonly why: string
  readonly got: unknown
  /** Of one that failed: every rule that was tried, and the one that decided, with file and line. */
  readonly explained?: readonly string[]
  /** A recorded case's own form. */
  readonly row?: unknown
}

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(args, { engine: { type: 'string' }, 'envoy-version': { type: 'string' }, output: { type: 'string', short: 'o' } }, { min: 1, max: 10_000 })
  const format = values.output ?? 'table'
  if (!['table', 'jsonl', 'junit'].includes(format)) throw new UsageError('-o is table, jsonl or junit')
  const { engine } = values
  if (engine !== undefined && engine !== 'weft' && engine !== 'envoy') throw new UsageError('--engine is weft or envoy')
  if (values['envoy-version'] !== undefined && engine !== 'envoy') throw new UsageError('--envoy-version goes with --engine envoy')
  const all: Outcome[] = []
  const began = performance.now()
  const tell = (outcome: Outcome): void => {
    all.push(outcome)
    if (format === 'jsonl') process.stdout.write(`${JSON.stringify(outcome.row ?? { file: outcome.file, ...(outcome.line === undefined ? {} : { line: outcome.line }), name: outcome.name, pass: outcome.pass, ...(outcome.skipped === true ? { skipped: true } : {}), got: outcome.got, why: outcome.why, ...(outcome.explained === undefined ? {} : { explained: outcome.explained }) })}\n`)
    if (format === 'table') process.stdout.write(lineOf(outcome))
  }
  const files = positionals.flatMap(testFilesOf)
  if (engine !== undefined) await played(files, engine, values['envoy-version'], tell)
  else for (const file of files) for await (const outcome of file.endsWith('.jsonl') ? recorded(file) : written(file)) tell(outcome)
  const failed = all.filter((one) => !one.pass).length
  const skipped = all.filter((one) => one.skipped === true).length
  if (format === 'junit') process.stdout.write(junitOf(all))
  process.stderr.write(`${all.length - failed - skipped} of ${all.length - skipped} as expected${skipped === 0 ? '' : `, ${skipped} not played`}, in ${timeTaken(performance.now() - began)}\n`)
  return failed === 0 ? exitCodes.done : exitCodes.findings
}

const timeTaken = (ms: number): string => (ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`)

const placeOf = ({ file, line }: Outcome): string => (line === undefined ? file : `${file}:${line}`)

function lineOf(outcome: Outcome): string {
  const { name, pass, skipped, why, explained = [] } = outcome
  if (skipped === true) return `skip  ${name}: ${why}\n`
  return `${pass ? 'pass' : 'FAIL'}  ${name}${pass ? '' : `\n      ${placeOf(outcome)}: ${why}${explained.map((line) => `\n        ${line}`).join('')}`}\n`
}

/** Cases at a time: each has proxies of its own. */
const CASES_AT_ONCE = 2

async function played(files: readonly string[], engine: 'weft' | 'envoy', envoyVersion: string | undefined, tell: (outcome: Outcome) => void): Promise<void> {
  const recordings = files.find((file) => file.endsWith('.jsonl'))
  if (recordings !== undefined) throw new UsageError(`${recordings} holds recorded calls, which are asked of the router alone; leave --engine out`)
  // Only whoever plays requests pays for what plays them.
  const { Player } = await import('../engines/play.ts')
  const player = await Player.open(engine, envoyVersion)
  try {
    const waiting = [...files]
    const work = async (): Promise<void> => {
      for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
        try {
          const script = await scriptIn(file)
          const lineOfTest = expectationLines({ name: file, text: readFileSync(file, 'utf8') })
          for await (const { name, result, why, got } of player.play(script)) tell({ file, line: lineOfTest((script.about.tests ?? []).findIndex((one) => one.name === name)), name, pass: result !== 'fail', skipped: result === 'skipped', why, got, ...(result === 'fail' ? { explained: await byRouter(file, script.about, name) } : {}) })
        } catch (error) {
          tell({ file, name: 'its proxies start', pass: false, why: error instanceof Error ? error.message : String(error), got: undefined })
        }
      }
    }
    await Promise.all(Array.from({ length: CASES_AT_ONCE }, work))
  } finally {
    await player.close()
  }
}

async function scriptIn(file: string): Promise<Script> {
  const about = readRequestsFile({ name: file, text: readFileSync(file, 'utf8') })
  return { about, objects: (await readConfiguration(configBeside(file, about))).objects }
}

/** What the router makes of a request that live proxies carried another way. */
async function byRouter(file: string, about: RequestsFile, name: string): Promise<string[]> {
  const row = about.tests?.find((one) => one.name === name)
  if (row === undefined) return []
  try {
    const { world, places } = await offlineMesh(configBeside(file, about), about)
    const trail = asked(world, row, makeTokens(about.tokens, Date.now()))
    return ['the router:', ...stepLines(trail, places), sentence(trail, places)]
  } catch (error) {
    return [`the router: ${error instanceof Error ? error.message : String(error)}`]
  }
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
  const text = { name: file, text: readFileSync(file, 'utf8') }
  const about = readRequestsFile(text)
  const { world, places } = await offlineMesh(configBeside(file, about), about)
  const tokens = makeTokens(about.tokens, Date.now())
  const lineOfTest = expectationLines(text)
  for (const [index, one] of (about.tests ?? []).entries()) {
    const { name, playedOnly } = one
    const told = { file, line: lineOfTest(index), name }
    if (playedOnly !== undefined) {
      yield { ...told, pass: true, skipped: true, why: playedOnly, got: undefined }
      continue
    }
    let got: Trail
    try {
      got = asked(world, one, tokens)
    } catch (error) {
      yield { ...told, pass: false, why: error instanceof Error ? error.message : String(error), got: undefined }
      continue
    }
    const wrong = routerDifferences(one, got)
    yield { ...told, pass: wrong.length === 0, why: wrong.length === 0 ? got.why : `${wrong.join('; ')} (${got.why})`, got: { outcome: got.outcome, status: got.status, by: got.by, to: got.to }, ...(wrong.length === 0 ? {} : { explained: [...stepLines(got, places), sentence(got, places)] }) }
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
    return `  <testsuite name="${escaped(file)}" tests="${of.length}" failures="${of.filter((one) => !one.pass).length}" skipped="${of.filter((one) => one.skipped === true).length}">\n${of.map(testcase).join('')}  </testsuite>\n`
  })
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join('')}</testsuites>\n`
}

function testcase(one: Outcome): string {
  const open = `    <testcase classname="${escaped(one.file)}" name="${escaped(one.name)}" file="${escaped(one.file)}"${one.line === undefined ? '' : ` line="${one.line}"`}`
  if (one.skipped === true) return `${open}>\n      <skipped message="${escaped(one.why)}"/>\n    </testcase>\n`
  if (one.pass) return `${open}/>\n`
  return `${open}>\n      <failure message="${escaped(one.why)}">${escaped([`${placeOf(one)}: ${one.why}`, ...(one.explained ?? [])].join('\n'))}</failure>\n    </testcase>\n`
}
